import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CodecError, crc32, Reader, Writer } from '../src/codec/index.ts'

const u64 = fc.maxSafeNat()
const u32 = fc.nat({ max: 0xff_ff_ff_ff })
const text = fc.string({ unit: 'binary', maxLength: 60 })
const blob = fc.uint8Array({ maxLength: 100 })

describe('bytes', () => {
  test('every value comes back as it was written, and nothing is left over', () => {
    fc.assert(
      fc.property(fc.nat({ max: 255 }), u32, u64, text, blob, fc.boolean(), (a, b, c, d, e, f) => {
        const writer = new Writer(1)
        writer.u8(a)
        writer.u32(b)
        writer.u64(c)
        writer.string(d)
        writer.bytes(e)
        writer.boolean(f)
        writer.raw(e)
        const reader = new Reader(writer.finish())
        expect(reader.u8()).toBe(a)
        expect(reader.u32()).toBe(b)
        expect(reader.u64()).toBe(c)
        expect(reader.string()).toBe(d)
        expect(reader.bytes()).toEqual(e)
        expect(reader.boolean()).toBe(f)
        expect(reader.raw(e.length)).toEqual(e)
        reader.end()
      }),
    )
  })

  test.each([0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])(
    'the integer %d takes eight bytes, lowest first',
    (value) => {
      const writer = new Writer()
      writer.u64(value)
      const bytes = writer.finish()
      expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(value))
      expect(new Reader(bytes).u64()).toBe(value)
    },
  )

  test('a reader of part of a buffer sees that part only, and its views are plain arrays', () => {
    class Buffer extends Uint8Array {}
    const whole = new Buffer([9, 3, 0, 0, 0, 7, 8, 9, 9])
    const reader = new Reader(whole.subarray(1, 8))
    const bytes = reader.bytes()
    expect(bytes).toEqual(new Uint8Array([7, 8, 9]))
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    expect(() => reader.u8()).toThrow(CodecError)
  })

  test.each<[string, number[], (reader: Reader) => unknown]>([
    ['a byte of nothing', [], (reader) => reader.u8()],
    ['an integer cut short', [1, 2, 3], (reader) => reader.u32()],
    ['an integer beyond 2^53 - 1', [0, 0, 0, 0, 0, 0, 32, 0], (reader) => reader.u64()],
    ['a boolean that is neither', [2], (reader) => reader.boolean()],
    ['bytes longer than the rest', [3, 0, 0, 0, 1, 2], (reader) => reader.bytes()],
    ['a count that cannot fit', [3, 0, 0, 0, 1, 2, 3, 4, 5], (reader) => reader.count(2)],
    ['text that is not UTF-8', [1, 0, 0, 0, 0xff], (reader) => reader.string()],
    ['bytes left over', [1], (reader) => reader.end()],
  ])('%s is a CodecError', (_, bytes, read) => {
    expect(() => read(new Reader(new Uint8Array(bytes)))).toThrow(CodecError)
  })

  test.each<[string, (writer: Writer) => void]>([
    ['a byte of 256', (writer) => writer.u8(256)],
    ['a negative integer', (writer) => writer.u32(-1)],
    ['an integer beyond 2^53 - 1', (writer) => writer.u64(2 ** 53)],
    ['a fraction', (writer) => writer.u64(0.5)],
    ['half a character', (writer) => writer.string('\ud800')],
    ['a patch where nothing was written', (writer) => writer.patchU32(0, 1)],
  ])('writing %s is a RangeError', (_, write) => {
    expect(() => write(new Writer())).toThrow(RangeError)
  })

  test('a length that is known late can be patched in', () => {
    const writer = new Writer(2)
    writer.u32(0)
    writer.string('é')
    writer.patchU32(0, writer.since(4).length)
    expect(writer.length).toBe(10)
    expect(writer.finish()).toEqual(new Uint8Array([6, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xa9]))
  })
})

/** The definition, one bit at a time. */
function crcByBits(bytes: Uint8Array): number {
  let crc = 0xff_ff_ff_ff
  for (const byte of bytes)
    for (let bit = 0; bit < 8; bit++) {
      const odd = ((crc ^ (byte >>> bit)) & 1) === 1
      crc = odd ? (crc >>> 1) ^ 0xed_b8_83_20 : crc >>> 1
    }
  return ~crc >>> 0
}

describe('crc32', () => {
  test('gives the published check value', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcb_f4_39_26)
    expect(crc32(new Uint8Array())).toBe(0)
  })

  test('follows the definition, in one piece or continued', () => {
    fc.assert(
      fc.property(blob, blob, (a, b) => {
        const whole = crcByBits(new Uint8Array([...a, ...b]))
        expect(crc32(new Uint8Array([...a, ...b]))).toBe(whole)
        expect(crc32(b, crc32(a))).toBe(whole)
      }),
    )
  })
})
