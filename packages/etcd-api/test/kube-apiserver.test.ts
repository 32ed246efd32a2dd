/** What kube-apiserver asks of etcd, in the shapes in which it asks. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Harness, type RawClient, startHarness, text } from './harness.ts'

let harness: Harness
let call: RawClient['call']
beforeEach(async () => {
  harness = await startHarness()
  call = harness.client.call
})
afterEach(() => harness[Symbol.asyncDispose]())

const POD = text('/registry/pods/default/web')
const ALL = { key: text('/registry/pods/'), range_end: text('/registry/pods0') }

/** A write that happens only if nobody else wrote meanwhile; 0 is a key that is not there. */
function write(modRevision: number, value: string): Promise<Record<string, unknown>> {
  return call('KV/Txn', {
    compare: [{ key: POD, target: 2, mod_revision: modRevision }],
    success: [{ request_put: { key: POD, value: text(value) } }],
    failure: [{ request_range: { key: POD } }],
  })
}

test('creates, updates and deletes what is as it was, and learns what it is otherwise', async () => {
  expect(await write(0, 'v1')).toMatchObject({ succeeded: true, header: { revision: 2 } })
  const there = { response_range: { kvs: [{ value: 'v1', mod_revision: 2 }] } }
  expect(await write(0, 'again')).toMatchObject({ responses: [there], header: { revision: 2 } })
  expect(await write(2, 'v2')).toMatchObject({ succeeded: true })
  const remove = (modRevision: number): Promise<Record<string, unknown>> =>
    call('KV/Txn', {
      compare: [{ key: POD, target: 2, mod_revision: modRevision }],
      success: [{ request_delete_range: { key: POD } }],
      failure: [{ request_range: { key: POD } }],
    })
  const late = await remove(2)
  expect(late).not.toHaveProperty('succeeded')
  expect(late).toMatchObject({ responses: [{ response_range: { kvs: [{ value: 'v2' }] } }] })
  expect(await remove(3)).toMatchObject({ succeeded: true, header: { revision: 4 } })
  const gone = await remove(3)
  expect(gone).toMatchObject({ responses: [{ response_range: { header: { revision: 4 } } }] })
  expect(gone).not.toHaveProperty('responses.0.response_range.kvs')
})

test('lists page by page at one revision, and knows how much remains', async () => {
  for (let i = 0; i < 25; i++)
    await call('KV/Put', { key: text(`/registry/pods/default/${String(i).padStart(2, '0')}`) })
  const page = (key: Uint8Array, revision: number): Promise<Record<string, unknown>> =>
    call('KV/Range', { key, range_end: ALL.range_end, limit: 10, revision })
  const first = await page(ALL.key, 0)
  expect(first).toMatchObject({ more: true, count: 25, header: { revision: 26 } })
  await call('KV/Put', { key: text('/registry/pods/default/later') })
  await call('KV/DeleteRange', { key: text('/registry/pods/default/24') })
  const second = await page(text('/registry/pods/default/09\0'), 26)
  expect(second).toMatchObject({ more: true, count: 15, header: { revision: 28 } })
  const third = await page(text('/registry/pods/default/19\0'), 26)
  expect(third).toMatchObject({ count: 5 })
  expect(third).not.toHaveProperty('more')
  expect((third['kvs'] as { key: string }[]).at(-1)?.key).toBe('/registry/pods/default/24')
  expect(await call('KV/Range', { ...ALL, count_only: true })).toMatchObject({ count: 25 })
})

test('watches from where it listed, with what was there before, and asks for bookmarks', async () => {
  await write(0, 'v1')
  const list = await call('KV/Range', ALL)
  const { revision } = list['header'] as { revision: number }
  await write(2, 'v2')
  using watch = harness.client.duplex('Watch/Watch', { hasleader: 'true' })
  const start = { ...ALL, start_revision: revision + 1, prev_kv: true, progress_notify: true }
  watch.send({ create_request: start })
  expect(await watch.next()).toMatchObject({ created: true })
  expect(await watch.next()).toMatchObject({
    events: [{ kv: { value: 'v2' }, prev_kv: { value: 'v1' } }],
  })
  await call('KV/DeleteRange', { key: POD })
  expect(await watch.next()).toMatchObject({ events: [{ type: 1, prev_kv: { value: 'v2' } }] })
  watch.send({ progress_request: {} })
  expect(await watch.next()).toEqual({
    header: expect.objectContaining({ revision: 4 }),
    watch_id: -1,
  })
  // It asks for bookmarks of those versions only that it knows to be right about them.
  const { version } = await call('Maintenance/Status')
  const [major = 0, minor = 0, patch = 0] = String(version).split('.').map(Number)
  expect(major * 1e6 + minor * 1e3 + patch).toBeGreaterThanOrEqual(3_005_013)
})

test('of several compactors one wins, and the others learn its revision', async () => {
  for (let i = 0; i < 5; i++) await call('KV/Put', { key: POD })
  const key = text('compact_rev_key')
  const compactor = (version: number, revision: number): Promise<Record<string, unknown>> =>
    call('KV/Txn', {
      compare: [{ key, target: 0, version }],
      success: [{ request_put: { key, value: text(String(revision)) } }],
      failure: [{ request_range: { key } }],
    })
  const [one, two] = await Promise.all([compactor(0, 4), compactor(0, 3)])
  expect(one).toMatchObject({ succeeded: true })
  expect(two).toMatchObject({
    responses: [{ response_range: { kvs: [{ value: '4', version: 1 }] } }],
  })
  await call('KV/Compact', { revision: 4 })
  await expect(call('KV/Compact', { revision: 4 })).rejects.toMatchObject({ code: 11 })
  await expect(call('KV/Range', { ...ALL, revision: 3 })).rejects.toMatchObject({
    code: 11,
    details: 'etcdserver: mvcc: required revision has been compacted',
  })
})
