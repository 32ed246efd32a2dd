/** Reads header blocks (RFC 7541). */
import { ErrorCode, Http2Error } from './frames.ts'
import { decodeHuffman } from './huffman.ts'
import { STATIC_TABLE } from './static-table.ts'

/** The room for the dynamic table that every encoder may count on, and that nobody is offered more than. */
export const TABLE_BYTES = 4_096
/** What an entry takes beside its name and value (section 4.1), and a field of a list (RFC 9113, 6.5.2). */
const ENTRY_BYTES = 32
const STATIC_ENTRIES = STATIC_TABLE.length / 2

export interface HeaderBlock {
  /** Names and values, one after the other, each byte a character. */
  readonly fields: readonly string[]
  /** The list was longer than allowed: `fields` holds only the beginning. */
  readonly isTooLarge: boolean
}

export class HpackDecoder {
  readonly #maxListBytes: number
  /** Grows whenever the dynamic table changes: until then the same bytes mean the same fields. */
  generation = 0
  /** Names and values, the oldest first. */
  #entries: string[] = []
  #tableBytes = 0
  #maxTableBytes = TABLE_BYTES
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #end = 0

  /** Lists are cut at about `maxListBytes`; what is cut off still goes into the table. */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes
  }

  /** Reads the block in [start, end). Throws COMPRESSION_ERROR, after which nothing can be read. */
  decode(bytes: Uint8Array, start: number, end: number): HeaderBlock {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    const fields: string[] = []
    let listBytes = 0
    let hasField = false
    while (this.#at < this.#end) {
      const first = bytes[this.#at] as number
      if (first >= 0x20 && first < 0x40) {
        this.#resize(this.#integer(0x1f), hasField)
        continue
      }
      hasField = true
      const [name, value] = this.#field(first)
      listBytes += name.length + value.length + ENTRY_BYTES
      if (listBytes <= this.#maxListBytes) fields.push(name, value)
    }
    return { fields, isTooLarge: listBytes > this.#maxListBytes }
  }

  /** One field (section 6.1 and 6.2). */
  #field(first: number): readonly [name: string, value: string] {
    if (first >= 0x80) {
      const index = this.#integer(0x7f)
      return [this.#lookup(index, 0), this.#lookup(index, 1)]
    }
    const isIndexed = first >= 0x40
    const index = this.#integer(isIndexed ? 0x3f : 0x0f)
    const name = index === 0 ? this.#string() : this.#lookup(index, 0)
    const value = this.#string()
    if (isIndexed) this.#insert(name, value)
    return [name, value]
  }

  /** The name (0) or the value (1) of an entry; the dynamic table follows the static one, newest first. */
  #lookup(index: number, part: 0 | 1): string {
    const at =
      index <= STATIC_ENTRIES
        ? 2 * (index - 1)
        : this.#entries.length - 2 * (index - STATIC_ENTRIES)
    const text = (index <= STATIC_ENTRIES ? STATIC_TABLE : this.#entries)[at + part]
    if (text === undefined) throw broken(`there is no entry ${index}`)
    return text
  }

  #insert(name: string, value: string): void {
    this.generation += 1
    this.#tableBytes += name.length + value.length + ENTRY_BYTES
    this.#entries.push(name, value)
    this.#evict()
  }

  /** The encoder makes the table smaller, or larger again; only ever before the first field. */
  #resize(bytes: number, hasField: boolean): void {
    if (hasField || bytes > TABLE_BYTES) throw broken(`the table cannot take ${bytes} bytes here`)
    this.generation += 1
    this.#maxTableBytes = bytes
    this.#evict()
  }

  /** An entry that is larger than the whole table empties it, which is no error (section 4.4). */
  #evict(): void {
    let evicted = 0
    while (this.#tableBytes > this.#maxTableBytes) {
      const [name = '', value = ''] = [this.#entries[evicted], this.#entries[evicted + 1]]
      this.#tableBytes -= name.length + value.length + ENTRY_BYTES
      evicted += 2
    }
    if (evicted > 0) this.#entries.splice(0, evicted)
  }

  /** An integer whose prefix fills `mask` (section 5.1). No length or index here needs more than 28 bits. */
  #integer(mask: number): number {
    let value = this.#byte() & mask
    if (value < mask) return value
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte()
      value += (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    throw broken('an integer of more than 28 bits')
  }

  #string(): string {
    const isHuffman = (this.#bytes[this.#at] as number) >= 0x80
    const length = this.#integer(0x7f)
    const start = this.#at
    this.#at += length
    if (this.#at > this.#end) throw broken('a string beyond the end of the block')
    if (isHuffman) return decodeHuffman(this.#bytes, start, this.#at)
    return latin1(this.#bytes, start, this.#at)
  }

  #byte(): number {
    if (this.#at >= this.#end) throw broken('the block ends too early')
    const byte = this.#bytes[this.#at] as number
    this.#at += 1
    return byte
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}

function broken(message: string): Http2Error {
  return new Http2Error(ErrorCode.COMPRESSION_ERROR, message)
}
