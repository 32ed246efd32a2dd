/** A live server on a free port over the fake node, and a client that speaks through raw gRPC. */
import { kvStateMachine } from '@coracle/kv-state-machine'
import { bootstrapMembership } from '@coracle/raft-core'
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { type EtcdServer, type EtcdServerOptions, etcdServer } from '../src/index.ts'
import { allMethods, type Codec, codecOf } from '../src/schema.ts'
import { type FakeNode, fakeNode } from './fake-node.ts'

export const CLUSTER_ID = 0xcdf8_1819_4e3a_8c32n
export const MEMBER_ID = 0x8e9e_05c5_2164_694dn
const NODE_ID = '8e9e05c52164694d'

export interface Harness extends AsyncDisposable {
  readonly node: FakeNode
  readonly stateMachine: ReturnType<typeof kvStateMachine>
  readonly server: EtcdServer
  readonly address: string
  readonly client: RawClient
  /** All messages of a server stream, as they were on the wire. */
  rpcs(method: string): Promise<Uint8Array[]>
}

/** An id for the wire. */
export function wireId(id: bigint): { low: number; high: number } {
  return { low: Number(BigInt.asIntN(32, id)), high: Number(BigInt.asIntN(32, id >> 32n)) }
}

/** `prepare` sees the node before anybody else does. */
export async function startHarness(
  options: Partial<EtcdServerOptions> = {},
  prepare: (node: FakeNode) => void = () => {},
): Promise<Harness> {
  const stateMachine = kvStateMachine()
  const membership = bootstrapMembership([{ id: NODE_ID, address: 'localhost:2380' }])
  const node = fakeNode(stateMachine, NODE_ID, membership)
  prepare(node)
  const server = await etcdServer({
    node,
    stateMachine,
    cluster: { id: CLUSTER_ID },
    member: { id: MEMBER_ID },
    listen: ['127.0.0.1:0'],
    shutdownTimeoutMs: 100,
    ...options,
  })
  const address = server.addresses[0] ?? ''
  const client = rawClient(address)
  return {
    node,
    stateMachine,
    server,
    address,
    client,
    rpcs: (method) => client.rawStream(method),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Requests are plain objects in wire names. Responses are decoded, and hold only what was on the wire. */
export interface RawClient extends Disposable {
  /** Rejects with grpc-js's ServiceError. */
  call(method: string, request?: object, options?: RawOptions): Promise<Record<string, unknown>>
  /** Sends these very bytes and gives those that came back. */
  bytes(path: string, request: Uint8Array, options?: RawOptions): Promise<Uint8Array>
  /** All messages of a server stream, not decoded. */
  rawStream(method: string): Promise<Uint8Array[]>
  /** Hands over each message of a server stream, until it is cancelled. */
  follow(
    method: string,
    request: object,
    onMessage: (message: Record<string, unknown>) => void,
  ): { cancel(): void }
  /** All messages of a server stream. */
  stream(method: string, request?: object): Promise<Record<string, unknown>[]>
  /** Opens a stream in both directions. */
  duplex(method: string, metadata?: Record<string, string>): RawDuplex
  /** The first message of a server stream, which is then abandoned. */
  firstOf(
    method: string,
    request?: object,
    metadata?: Record<string, string>,
  ): Promise<Record<string, unknown>>
}

export interface RawDuplex extends Disposable {
  send(request: object): void
  /** Sends these very bytes. */
  sendBytes(bytes: Uint8Array): void
  /** The next message. Rejects with the status if the stream ends before. */
  next(): Promise<Record<string, unknown>>
  /** Messages that arrived and were not taken yet. */
  readonly arrived: number
  /** No more requests. */
  halfClose(): void
  /** Reads nothing more from the connection, until {@link resume}. */
  pause(): void
  resume(): void
}

export interface RawOptions extends CallOptions {
  readonly metadata?: Record<string, string>
  /** Gets the call, to cancel it. */
  readonly onCall?: (call: ClientUnaryCall) => void
}

/** Decoded messages are compared as plain objects with numbers, so 64-bit values go through this. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Uint8Array) return new TextDecoder().decode(value)
  if (value === null || typeof value !== 'object') return value
  if ('low' in value && 'high' in value) {
    const { low, high, unsigned } = value as { low: number; high: number; unsigned: boolean }
    const bits = (BigInt(high) << 32n) | BigInt(low >>> 0)
    const exact = unsigned ? BigInt.asUintN(64, bits) : BigInt.asIntN(64, bits)
    return BigInt(Number(exact)) === exact && Number.isSafeInteger(Number(exact))
      ? Number(exact)
      : exact
  }
  // The codec gives every repeated field a list, also one that was not on the wire.
  const present = Object.entries(value).filter(([, field]) => !isEmptyList(field))
  return Object.fromEntries(present.map(([name, field]) => [name, plain(field)]))
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

export function rawClient(address: string): RawClient {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_send_message_length': -1,
    'grpc.max_receive_message_length': -1,
  })
  const identity = (bytes: Uint8Array): Buffer => Buffer.from(bytes)
  const bytes: RawClient['bytes'] = (path, request, options = {}) =>
    new Promise((resolve, reject) => {
      const { metadata, onCall, ...callOptions } = options
      const done = (error: ServiceError | null, response?: Uint8Array): void =>
        error === null ? resolve(response ?? new Uint8Array(0)) : reject(error)
      const call = client.makeUnaryRequest(
        path,
        identity,
        identity,
        request,
        metadataOf(metadata),
        callOptions,
        done,
      )
      onCall?.(call)
    })
  const schemaOf = (name: string) => {
    const schema = allMethods().find((each) => `${each.service}/${each.method}`.endsWith(name))
    if (schema === undefined) throw new Error(`no method ${name}`)
    return schema
  }
  async function* messagesOf(
    name: string,
    request: object = {},
    metadata: Record<string, string> = {},
  ): AsyncGenerator<Record<string, unknown>> {
    const { service, method, requestType, responseType } = schemaOf(name)
    const encoded = codecOf(requestType).encode(request)
    const path = `/${service}/${method}`
    const sent = metadataOf(metadata)
    const call = client.makeServerStreamRequest(path, identity, identity, encoded, sent)
    try {
      for await (const message of call)
        yield plain(codecOf(responseType).decode(message)) as Record<string, unknown>
    } finally {
      call.cancel()
    }
  }
  return {
    bytes,
    async call(name, request = {}, options = {}) {
      const { service, method, requestType, responseType } = schemaOf(name)
      const encoded = codecOf(requestType).encode(request)
      const answer = await bytes(`/${service}/${method}`, encoded, options)
      return plain(codecOf(responseType).decode(answer)) as Record<string, unknown>
    },
    async rawStream(name) {
      const { service, method } = schemaOf(name)
      const path = `/${service}/${method}`
      const call = client.makeServerStreamRequest(
        path,
        identity,
        (bytes) => bytes,
        new Uint8Array(0),
      )
      const messages: Uint8Array[] = []
      for await (const message of call) messages.push(message as Uint8Array)
      return messages
    },
    follow(name, request, onMessage) {
      const { service, method, requestType, responseType } = schemaOf(name)
      const encoded = codecOf(requestType).encode(request)
      const path = `/${service}/${method}`
      const call = client.makeServerStreamRequest(path, identity, identity, encoded)
      call.on('data', (bytes: Uint8Array) =>
        onMessage(plain(codecOf(responseType).decode(bytes)) as Record<string, unknown>),
      )
      call.on('error', () => {})
      return call
    },
    async stream(name, request) {
      const messages: Record<string, unknown>[] = []
      for await (const message of messagesOf(name, request)) messages.push(message)
      return messages
    },
    async firstOf(name, request, metadata) {
      for await (const message of messagesOf(name, request, metadata)) return message
      throw new Error('the stream was empty')
    },
    duplex(name, metadata) {
      const { service, method, requestType, responseType } = schemaOf(name)
      const path = `/${service}/${method}`
      const call = client.makeBidiStreamRequest(path, identity, identity, metadataOf(metadata))
      const codec = codecOf(responseType)
      return rawDuplex(call, codecOf(requestType), (bytes) => plain(codec.decode(bytes)))
    },
    [Symbol.dispose]: () => client.close(),
  }
}

function rawDuplex(
  call: ClientDuplexStream<Uint8Array, Uint8Array>,
  requests: Codec<object>,
  decode: (bytes: Uint8Array) => unknown,
): RawDuplex {
  const arrived: Record<string, unknown>[] = []
  let ended: Error | null = null
  let wake = (): void => {}
  call.on('data', (bytes: Uint8Array) => {
    arrived.push(decode(bytes) as Record<string, unknown>)
    wake()
  })
  call.on('error', (error) => {
    ended = error
    wake()
  })
  return {
    send: (request) => void call.write(requests.encode(request)),
    sendBytes: (bytes) => void call.write(bytes),
    async next() {
      while (arrived.length === 0) {
        if (ended !== null) throw ended
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return arrived.shift()!
    },
    get arrived() {
      return arrived.length
    },
    halfClose: () => void call.end(),
    pause: () => void call.pause(),
    resume: () => void call.resume(),
    [Symbol.dispose]: () => call.cancel(),
  }
}

function metadataOf(entries: Record<string, string> = {}): Metadata {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value)
  return metadata
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}
