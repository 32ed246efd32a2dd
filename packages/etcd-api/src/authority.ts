/**
 * Makes Node's HTTP/2 take the connections of etcd's own client.
 *
 * When etcdctl asks one member in particular (`endpoint status`, `endpoint hashkv`), clients of etcd
 * 3.4 send the whole URL as `:authority`, and those of 3.5.0 something longer. Go does not mind, but
 * nghttp2 refuses the request for its `/`. Nothing here reads that header, so the characters that
 * nghttp2 does not take are replaced, before it sees them, in the first request of a connection:
 * later ones only refer to it, through the table that both sides keep (RFC 7541, section 2.3.2).
 */

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const FRAME_HEADER_BYTES = 9

const HEADERS = 1
const PRIORITY = 2
const SETTINGS = 4
const WINDOW_UPDATE = 8

const ACK = 0x1
const END_HEADERS = 0x4
const PADDED = 0x8
const HAS_PRIORITY = 0x20

/** The place of `:authority` in HPACK's static table. */
const AUTHORITY = 1

/** An empty SETTINGS frame: clients that wait for the server's settings then send their request. */
export const EMPTY_SETTINGS: Uint8Array = Uint8Array.of(0, 0, 0, SETTINGS, 0, 0, 0, 0, 0)

/** What the first bytes of a connection say. */
export type Opening =
  /** More are needed. `isHttp2` once the preface has arrived. */
  | { readonly type: 'incomplete'; readonly isHttp2: boolean }
  /** What to go on with. Whatever does not begin like HTTP/2 is taken for HTTP/1.1. */
  | { readonly type: 'complete'; readonly isHttp2: boolean; readonly bytes: Uint8Array }

interface Frame {
  readonly type: number
  readonly flags: number
  readonly start: number
  readonly end: number
}

export interface OpeningOptions {
  /** The client has got {@link EMPTY_SETTINGS}: its acknowledgement is taken out, nobody else expects it. */
  readonly sentSettings: boolean
  /** There is time to wait for the first request. */
  readonly awaitRequest: boolean
}

/** Reads the first bytes of a connection up to its first request. */
export function readOpening(bytes: Uint8Array, options: OpeningOptions): Opening {
  const { sentSettings, awaitRequest } = options
  if (!startsLikePreface(bytes)) return { type: 'complete', isHttp2: false, bytes }
  if (bytes.length < PREFACE.length) return { type: 'incomplete', isHttp2: false }
  let acknowledgement: Frame | null = null
  let request: Frame | null = null
  let at = PREFACE.length
  for (;;) {
    const frame = frameAt(bytes, at)
    // A client that sends anything else has no use for help, but waits for no settings either.
    const isOther =
      frame !== null && ![HEADERS, PRIORITY, SETTINGS, WINDOW_UPDATE].includes(frame.type)
    const awaitsRequest = awaitRequest && request === null && !isOther
    const awaitsAck = sentSettings && acknowledgement === null
    if (!awaitsRequest && !awaitsAck) break
    if (frame === null) return { type: 'incomplete', isHttp2: true }
    if (frame.type === SETTINGS && (frame.flags & ACK) !== 0) acknowledgement ??= frame
    if (frame.type === HEADERS) request ??= frame
    at = frame.end
  }
  const dropped = sentSettings ? acknowledgement : null
  return { type: 'complete', isHttp2: true, bytes: rewrite(bytes, request, dropped) }
}

function startsLikePreface(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, PREFACE.length)
  for (let i = 0; i < length; i++) if (bytes[i] !== PREFACE.charCodeAt(i)) return false
  return true
}

/** The frame that begins at `start`, if all of it is there. */
function frameAt(bytes: Uint8Array, start: number): Frame | null {
  if (start + FRAME_HEADER_BYTES > bytes.length) return null
  const [a = 0, b = 0, c = 0, type = 0, flags = 0] = bytes.subarray(start)
  const end = start + FRAME_HEADER_BYTES + ((a << 16) | (b << 8) | c)
  return end > bytes.length ? null : { type, flags, start, end }
}

/** Puts the request's frame right, and leaves the acknowledgement out. */
function rewrite(bytes: Uint8Array, request: Frame | null, dropped: Frame | null): Uint8Array {
  const replaced =
    request === null
      ? null
      : rewriteHeaders(bytes.subarray(request.start, request.end), request.flags)
  const edits: { start: number; end: number; by: Uint8Array }[] = []
  if (request !== null && replaced !== null) edits.push({ ...request, by: replaced })
  if (dropped !== null) edits.push({ ...dropped, by: new Uint8Array() })
  edits.sort((a, b) => a.start - b.start)
  const pieces: Uint8Array[] = []
  let at = 0
  for (const { start, end, by } of edits) {
    pieces.push(bytes.subarray(at, start), by)
    at = end
  }
  return concat([...pieces, bytes.subarray(at)])
}

/** The HEADERS frame with a good authority, or null if it can stay as it is. */
function rewriteHeaders(frame: Uint8Array, flags: number): Uint8Array | null {
  // A header block over several frames is longer than any that etcd's clients begin with.
  if ((flags & END_HEADERS) === 0) return null
  const padding = (flags & PADDED) === 0 ? 0 : (frame[FRAME_HEADER_BYTES] ?? 0)
  const start =
    FRAME_HEADER_BYTES + ((flags & PADDED) === 0 ? 0 : 1) + ((flags & HAS_PRIORITY) === 0 ? 0 : 5)
  const found = findAuthority(new HpackReader(frame, start, frame.length - padding))
  if (found === null) return null
  const { value, from, to } = found
  const good = value.replaceAll(/[^A-Za-z0-9!$%&'()*+,\-.:;=@[\]_~]/g, '-')
  // As many characters as before: the tables of both sides count them.
  if (good === value || good.length > 126) return null
  const literal = Uint8Array.from([good.length, ...new TextEncoder().encode(good)])
  const rewritten = concat([frame.subarray(0, from), literal, frame.subarray(to)])
  const length = rewritten.length - FRAME_HEADER_BYTES
  rewritten.set([(length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff])
  return rewritten
}

interface Literal {
  readonly value: string
  /** Where the string stands in the frame, its length included. */
  readonly from: number
  readonly to: number
}

/** Looks through a header block (RFC 7541, section 6). Null if there is none, or no sense in it. */
function findAuthority(reader: HpackReader): Literal | null {
  while (!reader.atEnd) {
    const first = reader.peek()
    if (first >= 0x80) reader.integer(7)
    else if (first >= 0x20 && first < 0x40) reader.integer(5)
    else {
      const name = reader.integer(first >= 0x40 ? 6 : 4)
      if (name === 0) reader.string()
      const value = reader.string()
      if (name === AUTHORITY) return value
    }
  }
  return null
}

class HpackReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get atEnd(): boolean {
    return this.#at >= this.#end
  }

  peek(): number {
    return this.#bytes[this.#at] ?? 0
  }

  #next(): number {
    const byte = this.peek()
    this.#at += 1
    return byte
  }

  /** An integer with a prefix of so many bits (section 5.1). */
  integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1
    let value = this.#next() & most
    if (value < most) return value
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#next()
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    // Longer than any frame: there is no sense in the rest.
    this.#at = this.#end
    return 0
  }

  /** A string (section 5.2); null for one that is not all there, or not all in visible characters. */
  string(): Literal | null {
    const from = this.#at
    const isHuffman = this.peek() >= 0x80
    const length = this.integer(7)
    const start = this.#at
    this.#at += length
    if (this.#at > this.#end) return null
    const bytes = this.#bytes.subarray(start, this.#at)
    const value = isHuffman ? decodeHuffman(bytes) : new TextDecoder('latin1').decode(bytes)
    return value === null ? null : { value, from, to: this.#at }
  }
}

/**
 * HPACK's code for visible characters (RFC 7541, appendix B), by length: codes of one length follow
 * each other in the order of the characters, so the characters alone give them all.
 */
const HUFFMAN: readonly (readonly [bits: number, characters: string])[] = [
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
  [10, '!"()?'],
  [11, "'+|"],
  [12, '#>'],
  [13, '\0$@[]~'],
  [14, '^}'],
  [15, '<`{'],
]

const CHARACTERS = charactersByCode()

function charactersByCode(): ReadonlyMap<string, string> {
  const byCode = new Map<string, string>()
  let code = 0
  let length = 0
  for (const [bits, characters] of HUFFMAN) {
    code <<= bits - length
    length = bits
    for (const character of characters) {
      byCode.set(code.toString(2).padStart(bits, '0'), character)
      code += 1
    }
  }
  return byCode
}

function decodeHuffman(bytes: Uint8Array): string | null {
  let text = ''
  let code = ''
  for (const byte of bytes)
    for (const bit of byte.toString(2).padStart(8, '0')) {
      code += bit
      const character = CHARACTERS.get(code)
      if (character === undefined) continue
      text += character
      code = ''
    }
  // The last byte is filled up with ones.
  return code.length < 8 && !code.includes('0') ? text : null
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
