/** The service of transport.proto, with bytes for messages: their codec is the cluster's own. */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'

export type Bytes = Uint8Array

type Streaming = MethodDefinition<Bytes, Bytes>

export const MESSAGES: Streaming = method('Messages', true)
export const SNAPSHOT: Streaming = method('Snapshot', false)
export const SERVICE: ServiceDefinition = { Messages: MESSAGES, Snapshot: SNAPSHOT }

/** `Kept` of transport.proto: it has no fields. */
export const KEPT: Bytes = new Uint8Array(0)

function method(name: string, responseStream: boolean): Streaming {
  return {
    path: `/coracle.raft.v1.Transport/${name}`,
    requestStream: true,
    responseStream,
    requestSerialize: toBuffer,
    requestDeserialize: fromBuffer,
    responseSerialize: toBuffer,
    responseDeserialize: fromBuffer,
  }
}

export function toBuffer(bytes: Bytes): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A plain view: nobody outside is to meet a Buffer. */
export function fromBuffer(buffer: Buffer): Bytes {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}
