import { readFile } from 'node:fs/promises'

/** LevelDB's journal comes in blocks; a header is a checksum, a length and a type. */
const BLOCK_BYTES = 32_768
const HEADER_BYTES = 7
const MAX_TYPE = 4

/**
 * Looks for damage in LevelDB's journals, given in the order they were written: answers with the
 * place of the first, or null.
 *
 * LevelDB itself passes over what it cannot read, with all that follows in the same block: one
 * flipped bit silently takes back writes that were acknowledged. A power cut, too, leaves something
 * unreadable, but only at the very end, for every write is synced before the next one begins. So
 * what is unreadable and has something readable after it is damage.
 */
export async function findDamage(files: readonly string[]): Promise<string | null> {
  let suspect: string | null = null
  for (const file of files) {
    // A file that is gone by now belongs to another process, which has the directory locked.
    const bytes = await readFile(file).catch(() => new Uint8Array())
    let at = 0
    while (at < bytes.byteLength) {
      const end = recordEnd(bytes, at)
      if (end === null) {
        suspect ??= `${file} at byte ${at}`
        at = nextRecord(bytes, at + 1)
      } else {
        if (suspect !== null) return suspect
        at = end
      }
    }
  }
  return null
}

/** Where the record at `at` ends, or null if there is none that is whole. */
function recordEnd(bytes: Uint8Array, at: number): number | null {
  const blockEnd = Math.min(bytes.byteLength, at - (at % BLOCK_BYTES) + BLOCK_BYTES)
  const left = BLOCK_BYTES - (at % BLOCK_BYTES)
  // A record never begins where its header does not fit: the rest of such a block is filled up.
  if (left < HEADER_BYTES) return blockEnd
  if (at + HEADER_BYTES > blockEnd) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.getUint16(at + 4, true)
  const type = view.getUint8(at + 6)
  const end = at + HEADER_BYTES + length
  if (type === 0 || type > MAX_TYPE || end > blockEnd) return null
  return view.getUint32(at, true) === maskedCrc(bytes.subarray(at + 6, end)) ? end : null
}

/** The next place with a whole record, or the end. */
function nextRecord(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.byteLength; at++) {
    const fits = BLOCK_BYTES - (at % BLOCK_BYTES) >= HEADER_BYTES
    if (fits && recordEnd(bytes, at) !== null) return at
  }
  return bytes.byteLength
}

/** CRC-32C, altered as LevelDB does so that a checksum of checksums is no special case. */
function maskedCrc(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) crc = (CASTAGNOLI[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8)
  crc = ~crc
  return (((crc >>> 15) | (crc << 17)) + 0xa2_82_ea_d8) >>> 0
}

const CASTAGNOLI: Int32Array = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82_f6_3b_78 : crc >>> 1
  return crc
})
