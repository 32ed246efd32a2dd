/** Between JSON and the messages of one method. */
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

/** No text is an empty request. */
export function jsonCodec({ requestType, responseType }: MethodSchema): JsonCodec {
  const decode = jsonDecoder<object>(requestType)
  const encode = jsonEncoder<object>(responseType)
  const responses = codecOf<object>(responseType)
  return {
    decode: (text) => decode(text.trim() === '' ? {} : parseFirst(text)),
    encode: (message) =>
      encode(message instanceof Uint8Array ? responses.decode(message) : message),
  }
}
