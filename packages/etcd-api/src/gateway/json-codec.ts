/** Between JSON and the messages of one method. */
import { isEncoded, joined } from '../encoded.ts'
import type { EtcdError } from '../errors.ts'
import type { Traffic } from '../metrics/rpc-metrics.ts'
import { codecOf, type MethodSchema } from '../schema.ts'
import { messageTooLarge } from './http-errors.ts'
import { jsonDecoder } from './json-decode.ts'
import { jsonEncoder } from './json-encode.ts'
import { parseFirst } from './json-text.ts'

export interface JsonCodec {
  /** No text that is longer can be a message that is small enough, in bytes. */
  readonly maxTextBytes: number
  /** The error for so much text, or for one that goes on after it. */
  tooLarge(bytes: number): EtcdError
  /** Throws a JsonError for text that is no such message, and an EtcdError for one that is too large. */
  decode(text: string): object
  /** Takes a message, or the bytes of one. */
  encode(message: object): string
}

/** Base64 makes a third more of bytes; the rest is room for names and spaces. */
const JSON_OVERHEAD = 2

/** The longest text of a message that may have so many bytes as protobuf. */
export function textBytesFor(maxMessageBytes: number): number {
  return JSON_OVERHEAD * maxMessageBytes
}

/** Text this much shorter than a message may be is none that is too large: `-1,` has ten bytes there. */
const JSON_UNDERHEAD = 1 / 4

/**
 * No text is an empty request. A request may have `maxMessageBytes` as protobuf, for etcd's gateway
 * hands it on over gRPC. What goes through is added to `traffic`.
 */
export function jsonCodec(
  { requestType, responseType }: MethodSchema,
  { traffic, maxMessageBytes }: { readonly traffic: Traffic; readonly maxMessageBytes: number },
): JsonCodec {
  const tooLarge = (bytes: number): EtcdError => messageTooLarge(bytes, maxMessageBytes)
  const requests = codecOf<object>(requestType)
  const decode = jsonDecoder<object>(requestType)
  const encode = jsonEncoder<object>(responseType)
  const responses = codecOf<object>(responseType)
  return {
    maxTextBytes: textBytesFor(maxMessageBytes),
    tooLarge,
    decode(text) {
      traffic.received += text.length
      const request = decode(text.trim() === '' ? {} : parseFirst(text))
      if (text.length > JSON_UNDERHEAD * maxMessageBytes) {
        const { length } = requests.encode(request)
        if (length > maxMessageBytes) throw tooLarge(length)
      }
      return request
    },
    encode(message) {
      const text = encode(isEncoded(message) ? responses.decode(joined(message)) : message)
      traffic.sent += text.length
      return text
    },
  }
}
