/** The alphabet of every binary format here: little-endian, bounds-checked, and the same in browsers. */

/**
 * Bytes that do not decode: cut short, altered, or of an unknown version. No decoder throws
 * anything else, whatever it is fed.
 */
export class CodecError extends Error {
  override readonly name = 'CodecError'
}

const TWO_32 = 2 ** 32
const MAX_HIGH = 2 ** 21 - 1
const SHORT_TEXT_BYTES = 24

/**
 * Reads one value after the other and throws a {@link CodecError} at the first that cannot be:
 * no length or count is believed before it was held against what is left.
 */
export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  /** Reads from `bytes`, which must not change until the reader and the views it gave are done with. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** How many bytes were read so far. */
  get offset(): number {
    return this.#offset
  }

  /** How many bytes are left. */
  get remaining(): number {
    return this.#bytes.byteLength - this.#offset
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  /** A byte that is 0 or 1. */
  boolean(): boolean {
    const value = this.u8()
    if (value > 1) throw new CodecError(`a boolean cannot be ${value}`)
    return value === 1
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  /** Eight bytes that hold a safe integer from 0. */
  u64(): number {
    const at = this.#take(8)
    const high = this.#view.getUint32(at + 4, true)
    if (high > MAX_HIGH) throw new CodecError('an integer is beyond 2^53 - 1')
    return high * TWO_32 + this.#view.getUint32(at, true)
  }

  /** A u32 count of items that take at least `leastBytes` (from 1) each, so that it bounds what is allocated. */
  count(leastBytes: number): number {
    const count = this.u32()
    if (count * leastBytes > this.remaining)
      throw new CodecError(`${count} items cannot fit in ${this.remaining} bytes`)
    return count
  }

  /** The next `length` bytes: a view, not a copy, so it keeps all of what is read from in memory. */
  raw(length: number): Uint8Array {
    const at = this.#take(length)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, length)
  }

  /** A u32 length and as many bytes: a view, as with {@link raw}. */
  bytes(): Uint8Array {
    return this.raw(this.u32())
  }

  /** A u32 length and as many bytes of well-formed UTF-8. */
  string(): string {
    return decodeText(this.bytes())
  }

  /** A u8 length and as many bytes of well-formed UTF-8. */
  shortString(): string {
    return decodeText(this.raw(this.u8()))
  }

  /** Nothing may be left. */
  end(): void {
    if (this.remaining > 0) throw new CodecError(`${this.remaining} bytes are left over`)
  }

  #take(length: number): number {
    const at = this.#offset
    if (length > this.#bytes.byteLength - at)
      throw new CodecError(`${length} bytes are wanted and ${this.remaining} are left`)
    this.#offset = at + length
    return at
  }
}

/**
 * Writes one value after the other into a buffer that grows. A value that its place cannot hold is
 * the caller's mistake: a RangeError.
 */
export class Writer {
  #bytes: Uint8Array
  #view: DataView
  #length = 0

  /** `capacityBytes` that are right, or a little too large, save growing. */
  constructor(capacityBytes: number = 64) {
    this.#bytes = new Uint8Array(capacityBytes)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** How many bytes were written so far. */
  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    checkInteger(value, 0xff)
    const at = this.#reserve(1)
    this.#view.setUint8(at, value)
  }

  boolean(value: boolean): void {
    this.u8(value ? 1 : 0)
  }

  u32(value: number): void {
    checkInteger(value, TWO_32 - 1)
    const at = this.#reserve(4)
    this.#view.setUint32(at, value, true)
  }

  /** Eight bytes for a safe integer from 0. */
  u64(value: number): void {
    checkInteger(value, Number.MAX_SAFE_INTEGER)
    const at = this.#reserve(8)
    this.#view.setUint32(at, value >>> 0, true)
    this.#view.setUint32(at + 4, Math.floor(value / TWO_32), true)
  }

  /** The bytes themselves: the reader must know how many. */
  raw(value: Uint8Array): void {
    const at = this.#reserve(value.byteLength)
    this.#bytes.set(value, at)
  }

  /** A u32 length, then the bytes. */
  bytes(value: Uint8Array): void {
    this.u32(value.byteLength)
    this.raw(value)
  }

  /** A u32 length, then UTF-8. A lone surrogate has no UTF-8 and is refused, for it would come back as another text. */
  string(value: string): void {
    if (isAscii(value)) {
      this.u32(value.length)
      this.#ascii(value)
    } else {
      this.bytes(encodeText(value))
    }
  }

  /** A u8 length, then UTF-8 of at most 255 bytes, such as a node's id. */
  shortString(value: string): void {
    if (isAscii(value)) {
      this.u8(value.length)
      this.#ascii(value)
    } else {
      const bytes = encodeText(value)
      this.u8(bytes.byteLength)
      this.raw(bytes)
    }
  }

  /** Overwrites the u32 at `offset`, which was written before: a length or checksum known only afterwards. */
  patchU32(offset: number, value: number): void {
    checkInteger(value, TWO_32 - 1)
    if (offset + 4 > this.#length) throw new RangeError(`nothing was written at ${offset} yet`)
    this.#view.setUint32(offset, value, true)
  }

  /** What was written from `offset` on: a view that is good until the next write. */
  since(offset: number): Uint8Array {
    return this.#bytes.subarray(offset, this.#length)
  }

  /** All that was written: a view, so the writer is not to be used again. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  #ascii(value: string): void {
    const at = this.#reserve(value.length)
    for (let i = 0; i < value.length; i++) this.#bytes[at + i] = value.charCodeAt(i)
  }

  /** Makes room, perhaps in another buffer: look at `#bytes` and `#view` only afterwards. */
  #reserve(length: number): number {
    const at = this.#length
    const end = at + length
    if (end > this.#bytes.byteLength) this.#grow(end)
    this.#length = end
    return at
  }

  #grow(least: number): void {
    const larger = new Uint8Array(Math.max(least, this.#bytes.byteLength * 2))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

const encoder = new TextEncoder()
// Without `ignoreBOM` a leading byte order mark would be swallowed: another text than was written.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function checkInteger(value: number, most: number): void {
  if (!Number.isInteger(value) || value < 0 || value > most)
    throw new RangeError(`${value} is not a whole number from 0 to ${most}`)
}

function encodeText(text: string): Uint8Array {
  if (/\p{Surrogate}/u.test(text)) throw new RangeError('a text holds half a character')
  return encoder.encode(text)
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** Node ids are short and nearly always ASCII, where a loop is several times faster than TextDecoder. */
function decodeText(bytes: Uint8Array): string {
  if (bytes.byteLength <= SHORT_TEXT_BYTES) {
    let text = ''
    for (const byte of bytes) {
      if (byte > 0x7f) return decodeUtf8(bytes)
      text += String.fromCharCode(byte)
    }
    return text
  }
  return decodeUtf8(bytes)
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new CodecError('a text is not UTF-8', { cause })
  }
}
