import { describe, expect, test } from 'vitest'
import { type Harness, type RawDuplex, startHarness, text } from './harness.ts'

const header = (revision: number): object =>
  expect.objectContaining({ cluster_id: expect.anything(), member_id: expect.anything(), revision })

const putA = (harness: Harness, value: string): Promise<unknown> =>
  harness.client.call('KV/Put', { key: text('a'), value: text(value) })

/** Creates a watcher and takes the answer. */
async function create(stream: RawDuplex, request: object): Promise<Record<string, unknown>> {
  stream.send({ create_request: request })
  return await stream.next()
}

describe('a watch stream, message by message', () => {
  test('create ok: answered with the revision of the store and ids from 0', async () => {
    await using harness = await startHarness()
    await putA(harness, '1')
    using stream = harness.client.duplex('Watch/Watch')
    stream.send({ create_request: { key: text('a') } })
    stream.send({ create_request: { key: text('b') } })
    expect(await stream.next()).toEqual({ header: header(2), created: true })
    expect(await stream.next()).toEqual({ header: header(2), watch_id: 1, created: true })
  })

  test('events: one message for each revision, with the revision of the store', async () => {
    await using harness = await startHarness()
    using stream = harness.client.duplex('Watch/Watch')
    await create(stream, { key: text('a'), prev_kv: true })
    await putA(harness, '1')
    await putA(harness, '2')
    await harness.client.call('KV/DeleteRange', { key: text('a') })
    const first = { key: 'a', value: '1', create_revision: 2, mod_revision: 2, version: 1 }
    const second = { ...first, value: '2', mod_revision: 3, version: 2 }
    expect(await stream.next()).toEqual({ header: header(2), events: [{ kv: first }] })
    expect(await stream.next()).toEqual({
      header: header(3),
      events: [{ kv: second, prev_kv: first }],
    })
    expect(await stream.next()).toEqual({
      header: header(4),
      events: [{ type: 1, kv: { key: 'a', mod_revision: 4 }, prev_kv: second }],
    })
  })
})
