/** `Frame` of transport.proto: one field of bytes, written and read without copying the payload. */
import { CodecError } from '@coracle/raft-core/codec'

/** A tag, and a length that always takes five bytes: protobuf allows it, and it is known in advance. */
export const FRAME_HEADER_BYTES = 6

const PAYLOAD_TAG = 0x0a
const MAX_LENGTH_BYTES = 5

/** Fills in the header, for which the first {@link FRAME_HEADER_BYTES} of `frame` were left free. */
export function seal(frame: Uint8Array): Uint8Array {
  let length = frame.byteLength - FRAME_HEADER_BYTES
  frame[0] = PAYLOAD_TAG
  for (let at = 1; at < MAX_LENGTH_BYTES; at++) {
    frame[at] = (length & 0x7f) | 0x80
    length >>>= 7
  }
  frame[MAX_LENGTH_BYTES] = length
  return frame
}

/** The payload, as a view. Throws a CodecError for anything but one frame. */
export function unseal(frame: Uint8Array): Uint8Array {
  if (frame[0] !== PAYLOAD_TAG) throw new CodecError('a frame has no payload')
  let length = 0
  let at = 1
  for (let more = true; more; at++) {
    const byte = frame[at]
    if (byte === undefined || at > MAX_LENGTH_BYTES) throw new CodecError('a frame has no length')
    length += (byte & 0x7f) * 2 ** (7 * (at - 1))
    more = byte >= 0x80
  }
  if (frame.byteLength - at !== length) throw new CodecError('a frame has another length')
  return frame.subarray(at)
}
