/** Between JSON and the messages of one method. */
import { isEncoded, joined } from '../encoded.ts'
import type { Traffic } from '../metrics/rpc-metrics.ts'
import { codecOf, type MethodSchema } from '../schema.ts'
import { jsonDecoder } from './json-decode.ts'
import { jsonEncoder } from './json-encode.ts'
import { parseFirst } from './json-text.ts'

export interface JsonCodec {
  /** Throws a JsonError for text that is no such message. */
  decode(text: string): object
  /** Takes a message, or the bytes of one. */
  encode(message: object): string
}

/** No text is an empty request. What goes through is added to `traffic`. */
export function jsonCodec(
  { requestType, responseType }: MethodSchema,
  traffic: Traffic,
): JsonCodec {
  const decode = jsonDecoder<object>(requestType)
  const encode = jsonEncoder<object>(responseType)
  const responses = codecOf<object>(responseType)
  return {
    decode(text) {
      traffic.received += text.length
      return decode(text.trim() === '' ? {} : parseFirst(text))
    },
    encode(message) {
      const text = encode(isEncoded(message) ? responses.decode(joined(message)) : message)
      traffic.sent += text.length
      return text
    },
  }
}
