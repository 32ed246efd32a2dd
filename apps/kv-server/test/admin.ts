/** What an operator asks of one member, over gRPC; for machines without etcd's own client, too. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import protobuf from 'protobufjs'

export interface Member {
  /** In hexadecimal. */
  readonly id: string
  readonly name: string
  readonly peerURLs: readonly string[]
  readonly clientURLs: readonly string[]
  readonly isLearner: boolean
}

export interface Alarm {
  readonly id: string
  readonly alarm: number
}

/** All reject with gRPC's errors, whose message is etcd's text behind the code. */
export interface Admin extends Disposable {
  members(): Promise<readonly Member[]>
  add(
    peerUrls: string | readonly string[],
    options?: { readonly isLearner?: boolean },
  ): Promise<Member>
  remove(id: string): Promise<readonly Member[]>
  update(id: string, peerUrls: string | readonly string[]): Promise<readonly Member[]>
  promote(id: string): Promise<readonly Member[]>
  moveLeader(id: string): Promise<void>
  defragment(): Promise<void>
  alarms(): Promise<readonly Alarm[]>
  raise(id: string, alarm: number): Promise<void>
  disarm(alarm: Alarm): Promise<void>
  compact(revision: number): Promise<void>
  /** All data of a snapshot, the digest included. */
  snapshot(): Promise<Uint8Array>
  lock(name: string): Promise<string>
  unlock(key: string): Promise<void>
}

const SCHEMA = `
  syntax = "proto3";
  message Member {
    uint64 ID = 1; string name = 2; repeated string peerURLs = 3; repeated string clientURLs = 4;
    bool isLearner = 5;
  }
  message Alarm { uint64 memberID = 1; int32 alarm = 2; }
  message MemberListRequest { bool linearizable = 1; }
  message MemberAddRequest { repeated string peerURLs = 1; bool isLearner = 2; }
  message MemberAddResponse { Member member = 2; repeated Member members = 3; }
  message MembersResponse { repeated Member members = 2; }
  message MemberId { uint64 ID = 1; }
  message MemberUpdateRequest { uint64 ID = 1; repeated string peerURLs = 2; }
  message MoveLeaderRequest { uint64 targetID = 1; }
  message AlarmRequest { int32 action = 1; uint64 memberID = 2; int32 alarm = 3; }
  message AlarmResponse { repeated Alarm alarms = 2; }
  message CompactionRequest { int64 revision = 1; bool physical = 2; }
  message SnapshotResponse { uint64 remaining_bytes = 2; bytes blob = 3; }
  message LockRequest { bytes name = 1; int64 lease = 2; }
  message LockResponse { bytes key = 2; }
  message UnlockRequest { bytes key = 1; }
  message Empty {}
`
const { root } = protobuf.parse(SCHEMA, { keepCase: true })

interface WireMember extends Omit<Member, 'id'> {
  readonly ID: string
}

export function adminOf(address: string): Admin {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': -1,
  })
  const encode = (type: string, message: object): Buffer =>
    Buffer.from(root.lookupType(type).encode(root.lookupType(type).fromObject(message)).finish())
  const decode = (type: string, bytes: Uint8Array): unknown =>
    root
      .lookupType(type)
      .toObject(root.lookupType(type).decode(bytes), { longs: String, defaults: true })
  const call = <Answer>(
    path: string,
    [requests, responses]: readonly [string, string],
    request: object,
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${path}`,
        (message: object) => encode(requests, message),
        (bytes: Uint8Array) => decode(responses, bytes) as Answer,
        request,
        { deadline: Date.now() + 15_000 },
        (error: ServiceError | null, answer?: Answer) =>
          error === null && answer !== undefined ? resolve(answer) : reject(error as Error),
      )
    })
  const changed = async (path: string, type: string, request: object): Promise<Member[]> => {
    const { members } = await call<{ members: WireMember[] }>(
      `etcdserverpb.Cluster/${path}`,
      [type, 'MembersResponse'],
      request,
    )
    return members.map(memberOf)
  }
  const alarm = async (request: object): Promise<Alarm[]> => {
    const { alarms } = await call<{ alarms: { memberID: string; alarm: number }[] }>(
      'etcdserverpb.Maintenance/Alarm',
      ['AlarmRequest', 'AlarmResponse'],
      request,
    )
    return alarms.map(({ memberID, ...rest }) => ({ id: hex(memberID), ...rest }))
  }
  return {
    members: () => changed('MemberList', 'MemberListRequest', { linearizable: true }),
    async add(peerUrls, { isLearner = false } = {}) {
      const { member } = await call<{ member: WireMember }>(
        'etcdserverpb.Cluster/MemberAdd',
        ['MemberAddRequest', 'MemberAddResponse'],
        { peerURLs: [peerUrls].flat(), isLearner },
      )
      return memberOf(member)
    },
    remove: (id) => changed('MemberRemove', 'MemberId', { ID: decimal(id) }),
    update: (id, peerUrls) =>
      changed('MemberUpdate', 'MemberUpdateRequest', {
        ID: decimal(id),
        peerURLs: [peerUrls].flat(),
      }),
    promote: (id) => changed('MemberPromote', 'MemberId', { ID: decimal(id) }),
    async moveLeader(id) {
      const request = { targetID: decimal(id) }
      await call('etcdserverpb.Maintenance/MoveLeader', ['MoveLeaderRequest', 'Empty'], request)
    },
    async defragment() {
      await call('etcdserverpb.Maintenance/Defragment', ['Empty', 'Empty'], {})
    },
    alarms: () => alarm({}),
    async raise(id, type) {
      await alarm({ action: 1, memberID: decimal(id), alarm: type })
    },
    async disarm({ id, alarm: type }) {
      await alarm({ action: 2, memberID: decimal(id), alarm: type })
    },
    async compact(revision) {
      await call('etcdserverpb.KV/Compact', ['CompactionRequest', 'Empty'], { revision })
    },
    async snapshot() {
      const stream = client.makeServerStreamRequest(
        '/etcdserverpb.Maintenance/Snapshot',
        () => Buffer.alloc(0),
        (bytes: Uint8Array) => decode('SnapshotResponse', bytes) as { blob: Uint8Array },
        {},
      )
      const blobs: Uint8Array[] = []
      for await (const { blob } of stream as AsyncIterable<{ blob: Uint8Array }>) blobs.push(blob)
      return new Uint8Array(Buffer.concat(blobs))
    },
    async lock(name) {
      const { key } = await call<{ key: Uint8Array }>(
        'v3lockpb.Lock/Lock',
        ['LockRequest', 'LockResponse'],
        { name: Buffer.from(name) },
      )
      return new TextDecoder().decode(key)
    },
    async unlock(key) {
      await call('v3lockpb.Lock/Unlock', ['UnlockRequest', 'Empty'], { key: Buffer.from(key) })
    },
    [Symbol.dispose]: () => client.close(),
  }
}

function memberOf({ ID, ...member }: WireMember): Member {
  return { id: hex(ID), ...member }
}

function hex(id: string): string {
  return BigInt(id).toString(16)
}

function decimal(id: string): string {
  return BigInt(`0x${id}`).toString()
}
