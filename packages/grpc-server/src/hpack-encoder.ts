/**
 * Writes the header blocks of answers (RFC 7541). Nearly all are two: the beginning of an answer,
 * and the end of one that succeeded. Both are put into the dynamic table when they are first sent, at
 * places that never change, and are one or two bytes from then on. Everything else is literal.
 */
import { TABLE_BYTES } from './hpack-decoder.ts'
import { STATIC_TABLE } from './static-table.ts'

const CONTENT_TYPE = 'application/grpc'
const STATUS_200 = 0x88
/** What the two entries take in the table of the peer: their texts, and 32 bytes each. */
const ENTRIES_BYTES = 'content-type'.length + CONTENT_TYPE.length + 'grpc-status0'.length + 64

const LITERAL = 0x00
const INDEXED_LITERAL = 0x40
const INDEXED = 0x80
const SIZE_UPDATE = 0x20
const FIRST_DYNAMIC = 62

const STATIC_NAMES: ReadonlyMap<string, number> = staticNames()

/** `:status: 200` and the content type, without the table. */
const PLAIN_HEADERS = Uint8Array.of(
  STATUS_200,
  ...literal(LITERAL, 0x0f, 'content-type', CONTENT_TYPE),
)
const PLAIN_OK = Uint8Array.from(literal(LITERAL, 0x0f, 'grpc-status', '0'))
/** The same, and into the table with it. */
const FIRST_HEADERS = Uint8Array.of(
  STATUS_200,
  ...literal(INDEXED_LITERAL, 0x3f, 'content-type', CONTENT_TYPE),
)
const FIRST_OK = Uint8Array.from(literal(INDEXED_LITERAL, 0x3f, 'grpc-status', '0'))
/** From the table: when only the content type is in it, and when the status has come before it. */
const HEADERS_ALONE = Uint8Array.of(STATUS_200, INDEXED | FIRST_DYNAMIC)
const HEADERS_SECOND = Uint8Array.of(STATUS_200, INDEXED | (FIRST_DYNAMIC + 1))
const INDEXED_OK = Uint8Array.of(INDEXED | FIRST_DYNAMIC)

export class HpackEncoder {
  /** Entries in the peer's table: the content type first, then the status. */
  #inserted = 0
  #usesTable = true
  #tableBytes = TABLE_BYTES
  /** A size that the peer has asked for and not been told of yet. */
  #sizeToTell: number | null = null

  /** The peer's SETTINGS_HEADER_TABLE_SIZE (section 4.2): a smaller table must be announced in the next block. */
  set maxTableBytes(bytes: number) {
    if (bytes >= this.#tableBytes) return
    this.#tableBytes = bytes
    if (bytes < ENTRIES_BYTES) this.#usesTable = false
    this.#sizeToTell = this.#usesTable ? bytes : 0
  }

  /** The beginning of every answer. */
  responseHeaders(): Uint8Array {
    if (this.#sizeToTell !== null) return this.#afterSizeUpdate(() => this.responseHeaders())
    if (!this.#usesTable) return PLAIN_HEADERS
    if (this.#inserted === 0) {
      this.#inserted = 1
      return FIRST_HEADERS
    }
    return this.#inserted === 1 ? HEADERS_ALONE : HEADERS_SECOND
  }

  /** The end of one that succeeded. Never the first block of a connection. */
  okTrailers(): Uint8Array {
    if (this.#sizeToTell !== null) return this.#afterSizeUpdate(() => this.okTrailers())
    if (!this.#usesTable) return PLAIN_OK
    if (this.#inserted === 2) return INDEXED_OK
    // Behind the content type, or `HEADERS_SECOND` would mean something else.
    if (this.#inserted === 0) return PLAIN_OK
    this.#inserted = 2
    return FIRST_OK
  }

  /** Any fields; `:status` comes first if it is one of them. */
  fields(fields: readonly (readonly [name: string, value: string])[]): Uint8Array {
    if (this.#sizeToTell !== null) return this.#afterSizeUpdate(() => this.fields(fields))
    return Uint8Array.from(fields.flatMap(([name, value]) => literal(LITERAL, 0x0f, name, value)))
  }

  #afterSizeUpdate(block: () => Uint8Array): Uint8Array {
    const size = this.#sizeToTell as number
    this.#sizeToTell = null
    if (size === 0) this.#inserted = 0
    return Uint8Array.of(...integer(SIZE_UPDATE, 0x1f, size), ...block())
  }
}

function literal(kind: number, mask: number, name: string, value: string): number[] {
  const index = STATIC_NAMES.get(name)
  const start = index === undefined ? [kind, ...text(name)] : integer(kind, mask, index)
  return [...start, ...text(value)]
}

/** Not in Huffman code: answers that are not in the table are rare. Characters are bytes. */
function text(value: string): number[] {
  return [...integer(0, 0x7f, value.length), ...Buffer.from(value, 'latin1')]
}

function integer(kind: number, mask: number, value: number): number[] {
  if (value < mask) return [kind | value]
  const bytes = [kind | mask]
  let rest = value - mask
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}

function staticNames(): Map<string, number> {
  const names = new Map<string, number>()
  for (let at = 0; at < STATIC_TABLE.length; at += 2) {
    const name = STATIC_TABLE[at] as string
    if (!names.has(name)) names.set(name, at / 2 + 1)
  }
  return names
}
