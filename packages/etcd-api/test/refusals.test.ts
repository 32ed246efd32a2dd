import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allMethods } from '../src/schema.ts'
import { type Harness, MEMBER_ID, wireId, startHarness, text } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
  await harness.client.call('KV/Put', { key: text('a'), value: text('1') })
})
afterAll(() => harness[Symbol.asyncDispose]())

const key = text('a')
const put = (name: string): object => ({ request_put: { key: text(name) } })
const range = (name: string, more: object = {}): object => ({
  request_range: { key: text(name), ...more },
})
const many = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item)

/** Method, request, code, text. */
const REFUSALS: [string, object, number, string][] = [
  ['KV/Range', {}, 3, 'key is not provided'],
  ['KV/Put', {}, 3, 'key is not provided'],
  ['KV/DeleteRange', { range_end: text('z') }, 3, 'key is not provided'],
  ['KV/Range', { key, sort_order: 3 }, 3, 'invalid sort option'],
  ['KV/Range', { key, sort_target: 5 }, 3, 'invalid sort option'],
  ['KV/Range', { sort_target: 5 }, 3, 'key is not provided'],
  ['KV/Range', { key, revision: 99 }, 11, 'mvcc: required revision is a future revision'],
  ['KV/Compact', { revision: 99 }, 11, 'mvcc: required revision is a future revision'],
  ['KV/Compact', { revision: -1 }, 11, 'mvcc: required revision has been compacted'],
  ['KV/Put', { key, value: text('x'), ignore_value: true }, 3, 'value is provided'],
  ['KV/Put', { key, lease: 7, ignore_lease: true }, 3, 'lease is provided'],
  ['KV/Put', { key, lease: 7 }, 5, 'requested lease not found'],
  ['KV/Put', { key: text('absent'), ignore_value: true }, 3, 'key not found'],
  ['KV/Put', { key: text('absent'), ignore_lease: true }, 3, 'key not found'],
  ['KV/Txn', { compare: many(129, { key }) }, 3, 'too many operations in txn request'],
  ['KV/Txn', { success: many(129, range('a')) }, 3, 'too many operations in txn request'],
  ['KV/Txn', { failure: many(129, range('a')) }, 3, 'too many operations in txn request'],
  ['KV/Txn', { success: many(129, {}) }, 3, 'too many operations in txn request'],
  [
    'KV/Txn',
    { success: [...many(126, range('a')), { request_txn: { success: many(2, range('a')) } }] },
    3,
    'too many operations in txn request',
  ],
  ['KV/Txn', { compare: [{}], success: [{}] }, 3, 'key is not provided'],
  ['KV/Txn', { success: [put('')] }, 3, 'key is not provided'],
  ['KV/Txn', { failure: [range('')] }, 3, 'key is not provided'],
  ['KV/Txn', { success: [{ request_delete_range: {} }] }, 3, 'key is not provided'],
  ['KV/Txn', { success: [{}] }, 3, 'key not found'],
  ['KV/Txn', { success: [range('a', { sort_order: 9 })] }, 3, 'invalid sort option'],
  ['KV/Txn', { success: [put('d'), put('d')] }, 3, 'duplicate key given in txn request'],
  [
    'KV/Txn',
    { success: [put('d'), { request_delete_range: { key: text('c'), range_end: text('e') } }] },
    3,
    'duplicate key given in txn request',
  ],
  [
    'KV/Txn',
    { success: [put('new'), range('a', { revision: 99 })] },
    11,
    'mvcc: required revision is a future revision',
  ],
  ['KV/Txn', { success: [{ request_put: { key, lease: 7 } }] }, 5, 'requested lease not found'],
  ['Maintenance/HashKV', { revision: 99 }, 11, 'mvcc: required revision is a future revision'],
]

describe('what cannot be done is refused with etcd’s code and text', () => {
  test.each(REFUSALS)('%s %j is %i %s', async (method, request, code, reason) => {
    await expect(harness.client.call(method, request)).rejects.toMatchObject({
      code,
      details: `etcdserver: ${reason}`,
    })
  })

  test('a transaction that was refused has changed nothing', async () => {
    expect(await harness.client.call('KV/Range', { key: text('new') })).not.toHaveProperty('count')
  })

  test('as many operations as allowed are allowed', async () => {
    const nested = { request_txn: { success: [range('a')] } }
    const success = [...many(126, range('a')), nested]
    expect(await harness.client.call('KV/Txn', { success })).toHaveProperty('succeeded')
  })

  test('a request beyond the limit of requests is refused', async () => {
    const value = new Uint8Array(1_572_864)
    await expect(harness.client.call('KV/Put', { key, value })).rejects.toMatchObject({
      code: 3,
      details: 'etcdserver: request is too large',
    })
    const most = { key, value: value.subarray(100) }
    expect(await harness.client.call('KV/Put', most)).toHaveProperty('header')
  })

  test('a message beyond the transport’s limit is cut off before it is read', async () => {
    const value = new Uint8Array(1_572_864 + 512 * 1024)
    await expect(harness.client.call('KV/Put', { key, value })).rejects.toMatchObject({
      code: 8,
      details: 'grpc: received message larger than max (2097160 vs. 2097152)',
    })
    expect(await harness.client.call('KV/Range', { key })).toHaveProperty('count', 1)
  })

  test('a stream is in the order of the keys, and unfiltered', async () => {
    const refused = (request: object): Promise<unknown> =>
      harness.client.stream('KV/RangeStream', { key, ...request })
    await expect(refused({ sort_target: 1 })).rejects.toMatchObject({
      code: 12,
      details: 'RangeStream does not support custom sort orders',
    })
    await expect(refused({ sort_order: 2 })).rejects.toMatchObject({ code: 12 })
    await expect(refused({ min_mod_revision: 1 })).rejects.toMatchObject({
      code: 12,
      details: 'RangeStream does not support revision filters',
    })
    await expect(refused({ key: text('') })).rejects.toMatchObject({
      code: 3,
      details: 'etcdserver: key is not provided',
    })
  })
})

describe('methods that are not served say so', () => {
  const served =
    /(KV|Lease|\.Watch|Auth|Cluster|Maintenance|Lock|Election|Health|ServerReflection)\//
  const others = allMethods()
    .map(({ service, method }) => `${service}/${method}`)
    .filter((name) => !served.test(name))

  test.each(others)('%s', async (name) => {
    const [service, method] = name.split('/')
    const { bytes } = harness.client
    await expect(bytes(`/${name}`, new Uint8Array(0))).rejects.toMatchObject({
      code: 12,
      details: `unknown method ${method} for service ${service}`,
    })
  })

  test.each([
    ['/etcdserverpb.KV/Nothing', 'unknown method Nothing for service etcdserverpb.KV'],
    ['/no.such.Service/Method', 'unknown service no.such.Service'],
    ['/x', 'malformed method name: "/x"'],
    ['/', 'malformed method name: "/"'],
  ])('a path that nobody knows, %s, is unimplemented', async (path, details) => {
    await expect(harness.client.bytes(path, new Uint8Array(0))).rejects.toMatchObject({
      code: 12,
      details,
    })
  })
})

describe('bytes that are no message', () => {
  const cut = ['0a05', 'ff', '0b', '08', '0a0161ff', '0a016150', '0a0161120affff']
  test.each(cut)('%s ends too early', async (bytes) => {
    const put = harness.client.bytes('/etcdserverpb.KV/Put', Buffer.from(bytes, 'hex'))
    await expect(put).rejects.toMatchObject({
      code: 13,
      details: 'grpc: error unmarshalling request: unexpected EOF',
    })
  })

  test.each(['00', '0affffffff0f', '0a0161f8ffffffff0101'])('%s is refused', async (bytes) => {
    const put = harness.client.bytes('/etcdserverpb.KV/Put', Buffer.from(bytes, 'hex'))
    await expect(put).rejects.toMatchObject({
      code: 13,
      details: expect.stringMatching(/^grpc: error unmarshalling request: [^\n]*$/),
    })
  })

  test('text that is not UTF-8 is refused', async () => {
    const name = Buffer.from('0a02c328', 'hex')
    const check = harness.client.bytes('/grpc.health.v1.Health/Check', name)
    await expect(check).rejects.toMatchObject({ code: 13 })
  })

  test('transactions inside transactions without end are refused', async () => {
    let nested = new Uint8Array(0)
    for (let depth = 0; depth < 300; depth++) nested = wrap(0x12, wrap(0x22, nested))
    const txn = harness.client.bytes('/etcdserverpb.KV/Txn', nested)
    await expect(txn).rejects.toMatchObject({ code: 13 })
  })

  test('random bytes never harm the server', async () => {
    let state = 1
    const random = (): number => (state = (state * 48_271) % 0x7fff_ffff)
    const methods = ['KV/Put', 'KV/Range', 'KV/Txn', 'KV/DeleteRange', 'KV/Compact']
    for (let round = 0; round < 300; round++) {
      const bytes = Uint8Array.from({ length: random() % 40 }, () => random() % 256)
      const path = `/etcdserverpb.${methods[round % methods.length]}`
      await harness.client.bytes(path, bytes).catch((error: { code: number }) => {
        expect([3, 5, 11, 13]).toContain(error.code)
      })
    }
    expect(await harness.client.call('Health/Check')).toEqual({ status: 1 })
  })
})

function wrap(tag: number, inside: Uint8Array): Uint8Array<ArrayBuffer> {
  const length: number[] = []
  let left = inside.length
  for (; left > 127; left >>>= 7) length.push((left & 127) | 128)
  return Uint8Array.from([tag, ...length, left, ...inside])
}

describe('the quota', () => {
  test('puts beyond it are refused; deletes, compaction and reads go on', async () => {
    await using small = await startHarness({ limits: { quotaBackendBytes: 20_000 } })
    const { call } = small.client
    const value = new Uint8Array(1_000)
    const fill = async (): Promise<void> => {
      for (let i = 0; i < 100; i++) await call('KV/Put', { key: text(`k${i}`), value })
    }
    const noSpace = { code: 8, details: 'etcdserver: mvcc: database space exceeded' }
    await expect(fill()).rejects.toMatchObject(noSpace)
    await expect(
      call('KV/Txn', { success: [{ request_put: { key, value } }] }),
    ).rejects.toMatchObject(noSpace)
    const nested = { request_txn: { failure: [{ request_put: { key, value } }] } }
    await expect(call('KV/Txn', { failure: [nested] })).rejects.toMatchObject(noSpace)
    // The quota is looked at before the request is.
    await expect(call('KV/Put', { value })).rejects.toMatchObject(noSpace)
    const full = [{ memberID: MEMBER_ID, alarm: 1 }]
    expect(await call('Maintenance/Alarm')).toMatchObject({ alarms: full })
    await expect(call('Lease/LeaseGrant', { TTL: 60 })).rejects.toMatchObject(noSpace)
    expect(await call('Maintenance/Status')).toMatchObject({
      errors: [`memberID:${MEMBER_ID} alarm:NOSPACE `],
    })
    expect(await call('KV/Range', { key: text('k0') })).toHaveProperty('count', 1)
    expect(await call('KV/DeleteRange', { key: text('k0') })).toHaveProperty('deleted', 1)
    const del = { request_delete_range: { key: text('k1') } }
    const { header } = await call('KV/Txn', { success: [del] })
    const { revision } = header as { revision: number }
    expect(await call('KV/Compact', { revision })).toHaveProperty('header')
    // There is room again as soon as what was compacted is gone, but the alarm is cleared by people.
    const tiny = { key, value: text('x') }
    await expect(call('KV/Put', tiny)).rejects.toMatchObject(noSpace)
    const clear = { action: 2, memberID: wireId(MEMBER_ID), alarm: 1 }
    expect(await call('Maintenance/Alarm', clear)).toMatchObject({ alarms: full })
    expect(await call('Maintenance/Alarm', clear)).not.toHaveProperty('alarms')
    expect(await call('KV/Put', tiny)).toHaveProperty('header')
  })
})

describe('options', () => {
  test.each(['maxTxnOps', 'maxRequestBytes', 'requestTimeoutMs'])('%s must be positive', (name) => {
    return expect(startHarness({ limits: { [name]: 0 } })).rejects.toThrow(RangeError)
  })

  test('an address that is taken is an error, and nothing is left open', async () => {
    const { createServer } = await import('node:net')
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    await expect(startHarness({ listen: [`127.0.0.1:${port}`] })).rejects.toThrow(/EADDRINUSE|bind/)
    taken.close()
  })
})
