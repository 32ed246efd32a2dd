/** The service of transport.proto, with bytes for messages: their codec is the cluster's own. */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'

export type Bytes = Uint8Array

type Streaming = MethodDefinition<Bytes, Bytes>

export const MESSAGES: Streaming = method('Messages')
export const SNAPSHOT: Streaming = method('Snapshot')
export const SERVICE: ServiceDefinition = { Messages: MESSAGES, Snapshot: SNAPSHOT }

function method(name: string): Streaming {
  return {
    path: `/coracle.raft.v1.Transport/${name}`,
    requestStream: true,
    responseStream: true,
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
