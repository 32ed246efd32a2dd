/** What the tests of a live server share: nodes that remember, and callers that do as they like. */
import type { Message, Transport } from '@coracle/raft-core'
import {
  Client,
  type ClientWritableStream,
  credentials,
  type Metadata,
  type StatusObject,
} from '@grpc/grpc-js'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { FRAME_HEADER_BYTES, seal } from '../src/frame.ts'
import { type Hello, helloMetadata } from '../src/handshake.ts'
import {
  type GrpcEvent,
  type GrpcTransport,
  grpcTransport,
  type GrpcTransportOptions,
} from '../src/index.ts'
import { type Bytes, MESSAGES, SNAPSHOT } from '../src/service.ts'

export interface TestNode {
  readonly transport: GrpcTransport
  readonly address: string
  readonly port: number
  readonly events: GrpcEvent[]
  readonly received: Message[]
  readonly unreachable: string[]
}

/** A running node that is disposed when the test is over. */
export async function startNode(
  id: string,
  options: Partial<GrpcTransportOptions> = {},
): Promise<TestNode> {
  const events: GrpcEvent[] = []
  const received: Message[] = []
  const unreachable: string[] = []
  const transport = grpcTransport({
    id,
    cluster: 'test',
    listen: { host: '127.0.0.1', port: 0 },
    trace: (event) => events.push(event),
    ...options,
  })
  onTestFinished(() => transport[Symbol.asyncDispose]())
  await transport.start({
    onMessage: (message) => received.push(message),
    onSnapshot: async (_message, open) => {
      const { chunks } = await open({ bytes: 0, checksum: 0 })
      const reader = chunks[Symbol.asyncIterator]()
      for (let next = await reader.next(); next.done !== true;) next = await reader.next()
    },
    onUnreachable: (peer) => unreachable.push(peer),
  })
  const address = transport.address()
  const port = Number(address.split(':').at(-1))
  return { transport, address, port, events, received, unreachable }
}

/** A port at which nobody listens. */
export async function vacantAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  await once(server, 'close')
  return `127.0.0.1:${typeof bound === 'object' ? bound?.port : ''}`
}

/** Where a socket can be; its directory is gone when the test is over. */
export async function vacantPath(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return join(directory, 'peer.sock')
}

/** Waits for it, with a deadline. */
export async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 10_000, interval: 5 }).toBe(true)
}

/** Reasons for which callers were turned away. */
export function refusals(node: TestNode): string[] {
  return node.events.flatMap((event) => (event.type === 'connection-refused' ? [event.why] : []))
}

export function hello(over: Partial<Hello> = {}): Metadata {
  return helloMetadata({ cluster: 'test', from: 'x', to: 'b', ...over })
}

export function framed(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length)
  frame.set(payload, FRAME_HEADER_BYTES)
  return seal(frame)
}

/** Calls a node as one that is no transport would, and answers with the status that ends the call. */
export async function call(
  node: TestNode,
  purpose: 'messages' | 'snapshot',
  metadata: Metadata,
  frames: readonly Uint8Array[] = [],
): Promise<StatusObject> {
  const client = new Client(node.address, credentials.createInsecure())
  onTestFinished(() => client.close())
  const ended = await new Promise<StatusObject>((resolve) => {
    const stream =
      purpose === 'messages' ? openMessages(client, metadata) : openSnapshot(client, metadata)
    stream.on('error', () => {})
    stream.on('status', resolve)
    for (const frame of frames) stream.write(frame)
    stream.end()
  })
  client.close()
  return ended
}

function openMessages(client: Client, metadata: Metadata): ClientWritableStream<Bytes> {
  const { path, requestSerialize, responseDeserialize } = MESSAGES
  const stream = client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    metadata,
    {},
  )
  // Without a reader the end of the call would never be seen.
  stream.resume()
  return stream
}

function openSnapshot(client: Client, metadata: Metadata): ClientWritableStream<Bytes> {
  const { path, requestSerialize, responseDeserialize } = SNAPSHOT
  return client.makeClientStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    metadata,
    {},
    () => {},
  )
}

/** Fails unless a peer can still reach the node. */
export async function stillServes(node: TestNode): Promise<void> {
  const peer = await startNode('a')
  peer.transport.setPeers([{ id: 'b', address: node.address }])
  const before = node.received.length
  await until(() => {
    beat(peer.transport)
    return node.received.length > before
  })
}

export function beat(transport: Transport, round = 1): void {
  transport.send({
    type: 'heartbeat',
    from: 'a',
    to: 'b',
    term: 1,
    commitIndex: 0,
    round,
    address: '',
  })
}
