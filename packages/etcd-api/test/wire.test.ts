import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromBigInt, toBigInt, toSafeInteger, toUnsigned } from '../src/int64.ts'
import { allMethods, codecOf } from '../src/schema.ts'
import { type Harness, startHarness, text } from './harness.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const encode = (type: string, message: object): string =>
  hex(codecOf(`etcdserverpb.${type}`).encode(message))

describe('the schema is etcd’s', () => {
  test('there are the 49 methods of etcd, and gRPC’s health and reflection', () => {
    const etcd = allMethods().filter(({ service }) => !service.startsWith('grpc.'))
    expect(etcd.length).toBe(49)
    expect(allMethods().length - etcd.length).toBe(4)
    const streams = etcd.filter((method) => method.requestStream || method.responseStream)
    expect(streams.map(({ method }) => method).sort()).toEqual([
      'LeaseKeepAlive',
      'Observe',
      'RangeStream',
      'Snapshot',
      'Watch',
    ])
  })

  test('fields have etcd’s numbers, also beyond the dense ones', () => {
    expect(encode('Compare', { range_end: text('z') })).toBe('8204017a')
    expect(encode('WatchResponse', { events: [{ type: 1 }] })).toBe('5a020801')
    expect(encode('RangeRequest', { max_create_revision: 7 })).toBe('6807')
    expect(encode('StatusResponse', { downgradeInfo: {} })).toBe('6a00')
    expect(encode('WatchCreateRequest', { filters: [0, 1] })).toBe('2a020001')
  })

  test('zeros are not written', () => {
    expect(encode('ResponseHeader', { cluster_id: 0, revision: 0, raft_term: 0 })).toBe('')
    expect(encode('RangeRequest', { key: text(''), serializable: false, sort_order: 0 })).toBe('')
  })

  test('members of a oneof are written even if they are zero', () => {
    expect(encode('Compare', { target: 1, create_revision: 0 })).toBe('10012800')
    expect(encode('Compare', { target: 4, lease: 0 })).toBe('10044000')
    expect(encode('Compare', { target: 3, value: text('') })).toBe('10033a00')
  })

  test('which member of a oneof is set is told apart from its value', () => {
    const decode = (bytes: string): { target_union?: string } =>
      codecOf<{ target_union?: string }>('etcdserverpb.Compare').decode(Buffer.from(bytes, 'hex'))
    expect(decode('10012800').target_union).toBe('create_revision')
    expect(decode('1001').target_union).toBeUndefined()
  })

  test('what is not in the schema is skipped', () => {
    const decoded = codecOf<{ key: Uint8Array }>('etcdserverpb.PutRequest').decode(
      Buffer.from('c03e01' + '0a0161', 'hex'),
    )
    expect(Object.keys(decoded)).toEqual(['key'])
    expect('$unknowns' in decoded).toBe(false)
    expect(decoded.key).toEqual(text('a'))
    expect(Buffer.isBuffer(decoded.key)).toBe(false)
  })
})

describe('64-bit numbers', () => {
  const edges = [0n, 1n, -1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), -(2n ** 32n)]

  test.each(edges)('%d goes over the wire and back without loss', (value) => {
    const codec = codecOf<{ revision: number }>('etcdserverpb.CompactionRequest')
    const bytes = codec.encode({ revision: fromBigInt(value) as number })
    expect(toBigInt(codec.decode(bytes).revision)).toBe(value)
  })

  test('ids use all 64 bits', () => {
    const codec = codecOf<{ memberID: number }>('etcdserverpb.AlarmMember')
    const bytes = codec.encode({ memberID: fromBigInt(2n ** 64n - 2n) as number })
    expect(hex(bytes)).toBe('08feffffffffffffffff01')
    expect(toUnsigned(codec.decode(bytes).memberID)).toBe(2n ** 64n - 2n)
  })

  test('what is beyond the safe integers becomes the nearest one', () => {
    expect(toSafeInteger(fromBigInt(2n ** 62n))).toBe(Number.MAX_SAFE_INTEGER)
    expect(toSafeInteger(fromBigInt(-(2n ** 62n)))).toBe(Number.MIN_SAFE_INTEGER)
    expect(toSafeInteger(fromBigInt(2n ** 40n + 3n))).toBe(2 ** 40 + 3)
    expect(toSafeInteger(fromBigInt(-5n))).toBe(-5)
  })
})

describe('bytes of a live server', () => {
  let harness: Harness
  beforeAll(async () => {
    harness = await startHarness()
  })
  afterAll(() => harness[Symbol.asyncDispose]())
  const send = async (path: string, request: string): Promise<string> =>
    hex(await harness.client.bytes(path, Buffer.from(request, 'hex')))

  const ids = '08b298eaf1948386fccd01' + '10cdd2918bd2b881cf8e01'

  test('a put answers with the header alone', async () => {
    expect(await send('/etcdserverpb.KV/Put', '0a0161' + '120131')).toBe(`0a1a${ids}1802` + '2002')
  })

  test('a range writes its fields in ascending order', async () => {
    const pair = '0a0161' + '1002' + '1802' + '2001' + '2a0131'
    expect(await send('/etcdserverpb.KV/Range', '0a0161')).toBe(
      `0a1a${ids}18022002` + `120c${pair}` + '2001',
    )
  })

  test('a range that finds nothing writes no count', async () => {
    expect(await send('/etcdserverpb.KV/Range', '0a017a')).toBe(`0a1a${ids}18022002`)
  })

  test('answers about the cluster carry no revision', async () => {
    const answer = await send('/etcdserverpb.Cluster/MemberList', '')
    expect(answer.startsWith(`0a18${ids}2002`)).toBe(true)
  })
})
