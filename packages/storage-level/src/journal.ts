import { readFile } from 'node:fs/promises'

/**
 * LevelDB's journal comes in blocks. A write that crosses into another block is cut into a first
 * part, parts between, and a last one. Each begins with a checksum, its length and its type.
 */
const BLOCK_BYTES = 32_768
const HEADER_BYTES = 7
const WHOLE = 1
const FIRST = 2
const LAST = 4

/**
 * Looks for damage in LevelDB's journals, given in the order they were written: answers with the
 * place of the first, or null.
 *
 * LevelDB itself passes over what it cannot read, with all that follows in the same block: one
 * flipped bit silently takes back writes that were acknowledged. A power cut, too, leaves parts
 * that are unreadable, but only of the last write, for every write is synced before the next one
 * begins. So what is unreadable and has the beginning of another write after it is damage.
 */
export async function findDamage(files: readonly string[]): Promise<string | null> {
  let suspect: string | null = null
  for (const file of files) {
    // A file that is gone by now belongs to another process, which has the directory locked.
    const bytes = await readFile(file).catch(() => new Uint8Array())
    let at = 0
    while (at < bytes.byteLength) {
      const end = partEnd(bytes, at)
      if (end === null) {
        suspect ??= `${file} at byte ${at}`
        at = nextPart(bytes, at + 1)
      } else {
        if (suspect !== null && beginsWrite(bytes, at)) return suspect
        at = end
      }
    }
  }
  return null
}

function beginsWrite(bytes: Uint8Array, at: number): boolean {
  const type = bytes[at + 6]
  return fitsHeader(at) && (type === WHOLE || type === FIRST)
}

/** Where a header does not fit, the rest of the block is filled up. */
function fitsHeader(at: number): boolean {
  return BLOCK_BYTES - (at % BLOCK_BYTES) >= HEADER_BYTES
}

/** Where the part or filling at `at` ends, or null if there is none that is as it was written. */
function partEnd(bytes: Uint8Array, at: number): number | null {
  const blockEnd = Math.min(bytes.byteLength, at - (at % BLOCK_BYTES) + BLOCK_BYTES)
  if (!fitsHeader(at)) return blockEnd
  if (at + HEADER_BYTES > blockEnd) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.getUint16(at + 4, true)
  const type = view.getUint8(at + 6)
  const end = at + HEADER_BYTES + length
  if (type < WHOLE || type > LAST || end > blockEnd) return null
  return view.getUint32(at, true) === maskedCrc(bytes.subarray(at + 6, end)) ? end : null
}

/** The next place where there is a part that is as it was written, or the end. */
function nextPart(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.byteLength; at++)
    if (fitsHeader(at) && partEnd(bytes, at) !== null) return at
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
