import { CodecError } from '@coracle/raft-core/codec'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FRAME_HEADER_BYTES, seal, unseal } from '../src/frame.ts'

const payload = fc.uint8Array({ maxLength: 400, size: 'max' })

function framed(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + bytes.length)
  frame.set(bytes, FRAME_HEADER_BYTES)
  return seal(frame)
}

test('a payload comes back as it was, as a view', () => {
  fc.assert(
    fc.property(payload, (bytes) => {
      const frame = framed(bytes)
      expect(unseal(frame)).toEqual(bytes)
      expect(unseal(frame).buffer).toBe(frame.buffer)
    }),
  )
})

test('a frame written by any protobuf library is read: its length takes as few bytes as it can', () => {
  expect(unseal(new Uint8Array([0x0a, 0]))).toEqual(new Uint8Array(0))
  expect(unseal(new Uint8Array([0x0a, 2, 7, 8]))).toEqual(new Uint8Array([7, 8]))
  const long = new Uint8Array(300).fill(5)
  expect(unseal(new Uint8Array([0x0a, 0xac, 0x02, ...long]))).toEqual(long)
})

test('a frame of more than 2^28 bytes has the length it says', () => {
  const frame = seal(new Uint8Array(FRAME_HEADER_BYTES + 2 ** 28 + 3))
  expect([...frame.subarray(1, FRAME_HEADER_BYTES)]).toEqual([0x83, 0x80, 0x80, 0x80, 0x01])
})

test('nothing but a CodecError is thrown, whatever is read', () => {
  fc.assert(
    fc.property(fc.boolean(), payload, (tagged, bytes) => {
      try {
        unseal(tagged ? new Uint8Array([0x0a, ...bytes]) : bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(CodecError)
      }
    }),
    { numRuns: 2_000 },
  )
})
