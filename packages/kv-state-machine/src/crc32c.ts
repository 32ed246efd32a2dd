const REVERSED_POLYNOMIAL = 0x82_f6_3b_78

/**
 * CRC-32C (Castagnoli), which etcd hashes its keys with. It continues from the checksum of what
 * came before: `crc32c(b, crc32c(a))` is that of both. Eight bytes at a time (Intel's slicing-by-8).
 */
export function crc32c(bytes: Uint8Array, continued: number = 0): number {
  let crc = ~continued
  let at = 0
  for (const end = bytes.length - 7; at < end; at += 8) {
    crc ^= byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8)
    crc ^= (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)
    crc =
      entry(7, crc & 0xff) ^
      entry(6, (crc >>> 8) & 0xff) ^
      entry(5, (crc >>> 16) & 0xff) ^
      entry(4, crc >>> 24) ^
      entry(3, byteAt(bytes, at + 4)) ^
      entry(2, byteAt(bytes, at + 5)) ^
      entry(1, byteAt(bytes, at + 6)) ^
      entry(0, byteAt(bytes, at + 7))
  }
  for (; at < bytes.length; at++) crc = entry(0, (crc ^ byteAt(bytes, at)) & 0xff) ^ (crc >>> 8)
  return ~crc >>> 0
}

/** `TABLES[256 * n + byte]` is what `byte` comes to when `n` zero bytes follow it. */
const TABLES: Int32Array = makeTables()

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ REVERSED_POLYNOMIAL : crc >>> 1
    tables[byte] = crc
  }
  for (let at = 256; at < tables.length; at++) {
    const shorter = tables[at - 256] as number
    tables[at] = (tables[shorter & 0xff] as number) ^ (shorter >>> 8)
  }
  return tables
}

function entry(table: number, byte: number): number {
  return TABLES[table * 256 + byte] as number
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number
}
