/** Versioned binary formats: what storages keep and what transports carry. */
export { CodecError, Reader, Writer } from './bytes.ts'
export { crc32 } from './crc32.ts'
export * from './records.ts'
export { decodeMessage, encodeMessage, type Ends, MESSAGE_VERSION } from './messages.ts'
