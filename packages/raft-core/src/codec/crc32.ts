const REVERSED_POLYNOMIAL = 0xed_b8_83_20

/**
 * CRC-32 as in Ethernet, gzip and zlib, in plain JavaScript so that it runs everywhere. Where Node
 * is at hand, `zlib.crc32` gives the same and is many times faster on long input.
 *
 * A checksum of two parts is that of the second, continued from the first:
 * `crc32(b, crc32(a))`.
 */
export function crc32(bytes: Uint8Array, continued: number = 0): number {
  let crc = ~continued
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8)
  return ~crc >>> 0
}

const TABLE: Int32Array = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ REVERSED_POLYNOMIAL : crc >>> 1
  return crc
})
