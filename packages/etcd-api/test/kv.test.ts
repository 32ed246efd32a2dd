import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CLUSTER_ID, type Harness, MEMBER_ID, startHarness, text } from './harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

const call = (method: string, request: object = {}): Promise<Record<string, unknown>> =>
  harness.client.call(method, request)

const ids = { cluster_id: CLUSTER_ID, member_id: MEMBER_ID, raft_term: 2 }

describe('KV', () => {
  test('a fresh store is at revision 1 and the first put gets revision 2', async () => {
    await using fresh = await startHarness()
    expect(await fresh.client.call('KV/Range', { key: text('a') })).toEqual({
      header: { ...ids, revision: 1 },
    })
    expect(await fresh.client.call('KV/Put', { key: text('a'), value: text('1') })).toEqual({
      header: { ...ids, revision: 2 },
    })
  })

  test('a range answers with pairs, count and the store’s revision, not the one asked for', async () => {
    const { header } = await call('KV/Put', { key: text('range/a'), value: text('1') })
    const { revision } = header as { revision: number }
    await call('KV/Put', { key: text('range/b'), value: text('2') })
    const past = await call('KV/Range', {
      key: text('range/'),
      range_end: text('range0'),
      revision,
    })
    const pair = {
      key: 'range/a',
      value: '1',
      create_revision: revision,
      mod_revision: revision,
      version: 1,
    }
    expect(past).toEqual({ header: { ...ids, revision: revision + 1 }, kvs: [pair], count: 1 })
  })

  test('a limit cuts the answer, says more, and leaves the count as it is', async () => {
    for (const name of ['x', 'y', 'z']) await call('KV/Put', { key: text(`limit/${name}`) })
    const all = { key: text('limit/'), range_end: text('limit0') }
    const cut = await call('KV/Range', { ...all, limit: 2, keys_only: true })
    expect(cut).toMatchObject({ more: true, count: 3 })
    expect((cut['kvs'] as { key: string }[]).map(({ key }) => key)).toEqual(['limit/x', 'limit/y'])
    const counted = await call('KV/Range', { ...all, count_only: true })
    expect(counted).toEqual({ header: expect.anything(), count: 3 })
  })

  test('ranges are sorted by every target in both directions', async () => {
    for (const [name, value] of Object.entries({ p: '3', q: '1', r: '2' }))
      await call('KV/Put', { key: text(`sort/${name}`), value: text(value) })
    const keys = async (sort_target: number, sort_order: number): Promise<string> => {
      const range = { key: text('sort/'), range_end: text('sort0'), sort_target, sort_order }
      const { kvs } = await call('KV/Range', range)
      return (kvs as { key: string }[]).map(({ key }) => key.slice(5)).join('')
    }
    expect(await keys(4, 1)).toBe('qrp')
    expect(await keys(4, 2)).toBe('prq')
    expect(await keys(4, 0)).toBe('qrp')
    expect(await keys(0, 2)).toBe('rqp')
    expect(await keys(3, 2)).toBe('rqp')
  })

  test('an interval that ends at or before its key is empty, not an error', async () => {
    const answer = await call('KV/Range', { key: text('z'), range_end: text('a') })
    expect(answer).toEqual({ header: expect.anything() })
  })

  test('a put gives the previous pair only if asked and if there was one', async () => {
    const key = text('prev')
    expect(await call('KV/Put', { key, value: text('1'), prev_kv: true })).not.toHaveProperty(
      'prev_kv',
    )
    expect(await call('KV/Put', { key, value: text('2') })).not.toHaveProperty('prev_kv')
    const third = await call('KV/Put', { key, value: text('3'), prev_kv: true })
    expect(third).toMatchObject({ prev_kv: { key: 'prev', value: '2', version: 2 } })
  })

  test('deleting nothing succeeds and takes no revision', async () => {
    const before = await call('KV/Range', { key: text('none') })
    const deleted = await call('KV/DeleteRange', { key: text('none'), prev_kv: true })
    expect(deleted).toEqual({ header: before['header'] })
  })

  test('deleting a range counts and gives back what was there', async () => {
    await call('KV/Put', { key: text('del/a'), value: text('1') })
    await call('KV/Put', { key: text('del/b'), value: text('2') })
    const range = { key: text('del/'), range_end: text('del0'), prev_kv: true }
    expect(await call('KV/DeleteRange', range)).toMatchObject({
      deleted: 2,
      prev_kvs: [{ key: 'del/a' }, { key: 'del/b' }],
    })
  })

  test('headers inside a transaction say the revision only; that of one inside it, nothing', async () => {
    const { header } = await call('KV/Range', { key: text('txn') })
    const { revision } = header as { revision: number }
    const inner = { success: [{ request_put: { key: text('txn/b') } }] }
    const answer = await call('KV/Txn', {
      compare: [{ target: 1, key: text('txn/a'), create_revision: 0 }],
      success: [
        { request_range: { key: text('txn/a') } },
        { request_put: { key: text('txn/a'), value: text('1') } },
        { request_range: { key: text('txn/a'), count_only: true } },
        { request_txn: inner },
        { request_delete_range: { key: text('txn/none') } },
      ],
    })
    const next = { header: { revision: revision + 1 } }
    expect(answer).toMatchObject({
      header: { ...ids, revision: revision + 1 },
      succeeded: true,
      responses: [
        { response_range: { header: { revision } } },
        { response_put: next },
        { response_range: { ...next, count: 1 } },
        { response_txn: { header: {}, succeeded: true, responses: [{ response_put: next }] } },
        { response_delete_range: next },
      ],
    })
    const responses = answer['responses'] as { response_txn?: { header: object } }[]
    expect(responses[3]?.response_txn?.header).toEqual({})
  })

  test('a transaction whose guards fail runs the other branch', async () => {
    const answer = await call('KV/Txn', {
      compare: [{ target: 3, result: 0, key: text('absent'), value: text('') }],
      success: [{ request_put: { key: text('won') } }],
      failure: [{ request_put: { key: text('lost') } }],
    })
    expect(answer).not.toHaveProperty('succeeded')
    expect(await call('KV/Range', { key: text('lost') })).toMatchObject({ count: 1 })
    expect(await call('KV/Range', { key: text('won') })).not.toHaveProperty('count')
  })

  test('a transaction of ranges alone never enters the log', async () => {
    const before = harness.node.commands.length
    const range = { request_range: { key: text('prev') } }
    const answer = await call('KV/Txn', { success: [range], failure: [range] })
    expect(answer).toMatchObject({ succeeded: true, responses: [{ response_range: { count: 1 } }] })
    expect(harness.node.commands.length).toBe(before)
    const put = { request_put: { key: text('prev') } }
    await call('KV/Txn', { success: [put], failure: [range] })
    await call('KV/Txn', { success: [range], failure: [put] })
    await call('KV/Txn', { success: [{ request_txn: { success: [range] } }] })
    expect(harness.node.commands.length).toBe(before + 3)
  })

  test('an operator that does not exist holds; a target that does not exist compares as equal', async () => {
    const holds = async (compare: object): Promise<boolean> =>
      'succeeded' in (await call('KV/Txn', { compare: [{ key: text('prev'), ...compare }] }))
    expect(await holds({ result: 9, target: 0, version: 77 })).toBe(true)
    expect(await holds({ result: 9, target: 3, value: text('77') })).toBe(true)
    expect(await holds({ result: 9, target: 3, key: text('absent') })).toBe(false)
    expect(await holds({ result: 0, target: 9 })).toBe(true)
    expect(await holds({ result: 3, target: 9 })).toBe(false)
    expect(await holds({ result: 1, target: 9 })).toBe(false)
    // The member that is set belongs to another target: what is compared with is zero.
    expect(await holds({ result: 0, target: 0, mod_revision: 1 })).toBe(false)
    expect(await holds({ result: 1, target: 0, mod_revision: 1 })).toBe(true)
  })

  test('history below a compaction is gone, and the compacted revision itself is not', async () => {
    await using fresh = await startHarness()
    const key = text('k')
    for (const value of ['1', '2', '3'])
      await fresh.client.call('KV/Put', { key, value: text(value) })
    expect(await fresh.client.call('KV/Compact', { revision: 3, physical: true })).toEqual({
      header: { ...ids, revision: 4 },
    })
    const at = (revision: number): Promise<unknown> =>
      fresh.client.call('KV/Range', { key, revision })
    expect(await at(3)).toMatchObject({ kvs: [{ value: '2' }] })
    await expect(at(2)).rejects.toMatchObject({
      code: 11,
      details: 'etcdserver: mvcc: required revision has been compacted',
    })
  })

  test('a stream of chunks put together is the answer to the range', async () => {
    await using fresh = await startHarness()
    for (let i = 10; i < 60; i++)
      await fresh.client.call('KV/Put', { key: text(`k${i}`), value: text(`v${i}`) })
    const range = { key: text('k'), range_end: text('l'), limit: 45 }
    const whole = await fresh.client.call('KV/Range', range)
    const chunks = await fresh.client.stream('KV/RangeStream', range)
    const parts = chunks.map((chunk) => chunk['range_response'] as Record<string, unknown>)
    expect(parts.map(({ kvs }) => (kvs as unknown[]).length)).toEqual([10, 20, 15])
    expect(parts.slice(0, -1).every((part) => Object.keys(part).join() === 'kvs')).toBe(true)
    const kvs = parts.flatMap((part) => part['kvs'] as unknown[])
    expect({ ...parts.at(-1), kvs }).toEqual(whole)
    const count = await fresh.client.stream('KV/RangeStream', { ...range, count_only: true })
    expect(count).toEqual([{ range_response: { header: whole['header'], count: 50 } }])
  })

  test('a stream takes half as many keys when a chunk was larger than a request may be', async () => {
    await using fresh = await startHarness({ limits: { maxRequestBytes: 20_000 } })
    const value = new Uint8Array(3_000)
    for (let i = 10; i < 40; i++) await fresh.client.call('KV/Put', { key: text(`k${i}`), value })
    const chunks = await fresh.client.stream('KV/RangeStream', {
      key: text('k'),
      range_end: text('l'),
    })
    const parts = chunks.map((chunk) => chunk['range_response'] as { kvs: unknown[] })
    expect(parts.map(({ kvs }) => kvs.length)).toEqual([10, 5, 5, 5, 5])
  })

  test('a client that leaves in the middle of a stream harms nobody', async () => {
    await using fresh = await startHarness()
    const value = new Uint8Array(100_000)
    for (let i = 10; i < 40; i++) await fresh.client.call('KV/Put', { key: text(`k${i}`), value })
    const range = { key: text('k'), range_end: text('l') }
    expect(await fresh.client.firstOf('KV/RangeStream', range)).toHaveProperty('range_response')
    expect(await fresh.client.call('KV/Range', { ...range, count_only: true })).toMatchObject({
      count: 30,
    })
  })

  test('leases and revisions keep all their bits', async () => {
    const lease = { low: -2, high: 0x7fff_ffff }
    await expect(call('KV/Put', { key: text('leased'), lease })).rejects.toMatchObject({
      code: 5,
      details: 'etcdserver: requested lease not found',
    })
    const far = { low: -1, high: 0x7fff_ffff }
    await expect(call('KV/Range', { key: text('a'), revision: far })).rejects.toMatchObject({
      details: 'etcdserver: mvcc: required revision is a future revision',
    })
    const below = { low: 0, high: -0x8000_0000 }
    expect(await call('KV/Range', { key: text('prev'), revision: below })).toMatchObject({
      count: 1,
    })
  })
})
