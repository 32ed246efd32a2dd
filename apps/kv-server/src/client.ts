/**
 * The few requests that are made of one member over gRPC: by the launcher, the demo and the tests, and
 * by a founder of a cluster of the one at which it meets the others.
 */
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
} from '@grpc/grpc-js'
import { createSecureContext } from 'node:tls'
import protobuf, { type Type } from 'protobufjs'

export interface MemberClient extends Disposable {
  /** `host:port` of the member. */
  readonly address: string
  /** Resolves with the revision when the cluster has acknowledged the put. */
  put(key: string, value: string, options?: CallOptions): Promise<number>
  /** Null if there is no such key. */
  get(key: string, options?: CallOptions): Promise<string | null>
  /** Puts unless the key is there. Resolves with the value that it has then: this, or another. */
  putIfAbsent(key: string, value: string, options?: CallOptions): Promise<string>
  /** From now on, requests are this user's. */
  authenticate(user: User, options?: CallOptions): Promise<void>
  /** The keys that start with `prefix`, as of one moment: linearizable unless told otherwise. */
  list(prefix: string, options?: ListOptions): Promise<ReadonlyMap<string, string>>
  /** What the member knows of itself. */
  status(options?: CallOptions): Promise<MemberStatus>
  /** A checksum of the history up to `revision`. */
  hashKv(revision: number, options?: CallOptions): Promise<HashKv>
}

export interface CallOptions {
  /** Rejects after this time. Default 5000. */
  readonly timeoutMs?: number
  /** Rejects with its reason when it aborts; what was asked for may happen all the same. */
  readonly signal?: AbortSignal
  /** Rejects when the member cannot be reached. Default: only where another one may be asked. */
  readonly failsFast?: boolean
}

export interface User {
  readonly name: string
  readonly password: string
}

export interface ListOptions extends CallOptions {
  /** Answers at once, from what this member has applied. Default false. */
  readonly serializable?: boolean
  /** In the order in which the keys were created. Default: in the order of the keys. */
  readonly byCreation?: boolean
}

export interface MemberStatus {
  /** In hexadecimal, as etcd prints ids. */
  readonly id: string
  /** The leader's id, or null. */
  readonly leader: string | null
  readonly term: number
  readonly revision: number
  readonly appliedIndex: number
}

export interface HashKv {
  readonly hash: number
  readonly compactRevision: number
}

/** The fields that are used here, with etcd's numbers. */
const SCHEMA = `
  syntax = "proto3";
  message Header { uint64 member_id = 2; int64 revision = 3; }
  message KeyValue { bytes key = 1; bytes value = 5; }
  message PutRequest { bytes key = 1; bytes value = 2; }
  message PutResponse { Header header = 1; }
  message RangeRequest {
    bytes key = 1; bytes range_end = 2; int32 sort_order = 5; int32 sort_target = 6;
    bool serializable = 7;
  }
  message RangeResponse { Header header = 1; repeated KeyValue kvs = 2; }
  message Compare { int32 result = 1; int32 target = 2; bytes key = 3; int64 create_revision = 5; }
  message RequestOp { oneof request { RangeRequest request_range = 1; PutRequest request_put = 2; } }
  message ResponseOp { oneof response { RangeResponse response_range = 1; } }
  message TxnRequest {
    repeated Compare compare = 1; repeated RequestOp success = 2; repeated RequestOp failure = 3;
  }
  message TxnResponse { bool succeeded = 2; repeated ResponseOp responses = 3; }
  message AuthenticateRequest { string name = 1; string password = 2; }
  message AuthenticateResponse { string token = 2; }
  message StatusRequest {}
  message StatusResponse {
    Header header = 1; uint64 leader = 4; uint64 raft_term = 6; uint64 raft_applied_index = 7;
  }
  message HashKVRequest { int64 revision = 1; }
  message HashKVResponse { uint32 hash = 2; int64 compact_revision = 3; }
`

const { root } = protobuf.parse(SCHEMA, { keepCase: true })

/** A member that was away is tried again soon: it may be back. */
const CHANNEL: ChannelOptions = {
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.max_receive_message_length': -1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
}

/** PEM texts. */
export interface ClientTls {
  /** Whose certificates count. Default: those that Node trusts by itself. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** Default true. */
  readonly rejectUnauthorized?: boolean
}

export interface Keepalive {
  /** A member that is silent for so long while it is asked is pinged. */
  readonly keepaliveMs: number
  readonly keepaliveTimeoutMs: number
}

/** Compare's numbers for EQUAL and CREATE, and those of ASCEND and CREATE for a range. */
const [EQUAL, CREATE_REVISION, ASCENDING, BY_CREATION] = [0, 1, 1, 2] as const

/** A client of the member at `host:port`, and of no other. It rejects with gRPC's errors. */
export function memberClient(
  address: string,
  tls: ClientTls | null = null,
  keepalive: Keepalive | null = null,
): MemberClient {
  const client = new Client(address, credentialsOf(tls), {
    ...CHANNEL,
    ...(keepalive === null
      ? {}
      : {
          'grpc.keepalive_time_ms': keepalive.keepaliveMs,
          'grpc.keepalive_timeout_ms': keepalive.keepaliveTimeoutMs,
        }),
  })
  const metadata = new Metadata()
  const call = unaryCalls(client, metadata)
  return {
    address,
    async put(key, value, options = {}) {
      const request = { key: bytes(key), value: bytes(value) }
      const { header } = await call<{ header: Header }>('KV/Put', request, options)
      return Number(header.revision)
    },
    async get(key, options = {}) {
      const request = { key: bytes(key) }
      const [found] = (await call<{ kvs: readonly Pair[] }>('KV/Range', request, options)).kvs
      return found === undefined ? null : text(found.value)
    },
    async putIfAbsent(key, value, options = {}) {
      const request = {
        compare: [{ result: EQUAL, target: CREATE_REVISION, key: bytes(key), create_revision: 0 }],
        success: [{ request_put: { key: bytes(key), value: bytes(value) } }],
        failure: [{ request_range: { key: bytes(key) } }],
      }
      const { succeeded, responses } = await call<TxnResponse>('KV/Txn', request, options)
      const [found] = responses[0]?.response_range?.kvs ?? []
      return succeeded || found === undefined ? value : text(found.value)
    },
    async authenticate(user, options = {}) {
      const { token } = await call<{ token: string }>('Auth/Authenticate', user, options)
      metadata.set('token', token)
    },
    async list(prefix, { serializable = false, byCreation = false, ...options } = {}) {
      const order = byCreation ? { sort_order: ASCENDING, sort_target: BY_CREATION } : {}
      const request = { key: bytes(prefix), range_end: prefixEnd(prefix), serializable, ...order }
      const { kvs } = await call<{ kvs: readonly Pair[] }>('KV/Range', request, options)
      return new Map(kvs.map(({ key, value }) => [text(key), text(value)]))
    },
    async status(options = {}) {
      return statusOf(await call<StatusResponse>('Maintenance/Status', {}, options))
    },
    async hashKv(revision, options = {}) {
      const answer = await call<HashResponse>('Maintenance/HashKV', { revision }, options)
      return { hash: answer.hash, compactRevision: Number(answer.compact_revision) }
    },
    [Symbol.dispose]: () => client.close(),
  }
}

function credentialsOf(tls: ClientTls | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure()
  const { rejectUnauthorized = true, ...pem } = tls
  return credentials.createFromSecureContext(createSecureContext(pem), { rejectUnauthorized })
}

/** 64-bit numbers are decoded as decimal text. */
interface Header {
  readonly member_id: string
  readonly revision: string
}

interface Pair {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

interface TxnResponse {
  readonly succeeded: boolean
  readonly responses: readonly { readonly response_range?: { readonly kvs: readonly Pair[] } }[]
}

interface StatusResponse {
  readonly header: Header
  readonly leader: string
  readonly raft_term: string
  readonly raft_applied_index: string
}

interface HashResponse {
  readonly hash: number
  readonly compact_revision: string
}

function statusOf({ header, leader, ...raft }: StatusResponse): MemberStatus {
  return {
    id: BigInt(header.member_id).toString(16),
    leader: leader === '0' ? null : BigInt(leader).toString(16),
    term: Number(raft.raft_term),
    revision: Number(header.revision),
    appliedIndex: Number(raft.raft_applied_index),
  }
}

type Call = <Response>(method: string, request: object, options: CallOptions) => Promise<Response>

/** With what `shared` has at the time of each call. */
function unaryCalls(client: Client, shared: Metadata): Call {
  return async <Response>(method: string, request: object, options: CallOptions) => {
    const name = method.slice(method.indexOf('/') + 1)
    // Reads can wait for a member that is just starting; a put is better made through another one.
    const isRead = name === 'Range' || name === 'HashKV'
    const { timeoutMs = 5_000, signal, failsFast = !isRead } = options
    signal?.throwIfAborted()
    const [requests, responses] = [typeOf(`${name}Request`), typeOf(`${name}Response`)]
    const metadata = shared.clone()
    metadata.setOptions({ waitForReady: !failsFast })
    let cancel = (): void => {}
    try {
      return await new Promise<Response>((resolve, reject) => {
        const call = client.makeUnaryRequest(
          `/etcdserverpb.${method}`,
          (message: object) => Buffer.from(requests.encode(message).finish()),
          (data: Uint8Array) =>
            responses.toObject(responses.decode(data), {
              longs: String,
              defaults: true,
            }) as Response,
          request,
          metadata,
          { deadline: Date.now() + timeoutMs },
          (error, response) => {
            if (error === null && response !== undefined) resolve(response)
            else reject(error ?? new Error(`${method} was answered with nothing`))
          },
        )
        cancel = () => call.cancel()
        signal?.addEventListener('abort', cancel, { once: true })
      })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }
}

function typeOf(name: string): Type {
  return root.lookupType(name)
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function text(value: Uint8Array): string {
  return new TextDecoder().decode(value)
}

/** The first key after all that start with `prefix`: its last byte, one higher. */
function prefixEnd(prefix: string): Uint8Array {
  const end = bytes(prefix)
  const last = end.length - 1
  end[last] = (end[last] ?? 0) + 1
  return end
}
