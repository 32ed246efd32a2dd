/** A whole server in the process, and the client that asks it without gRPC. */
import { readFileSync } from 'node:fs'
import { memoryDisk } from '@coracle/storage-memory'
import { Etcd3 } from 'etcd3'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type EtcdServer, startServer, type WatchedEvent } from '../src/index.ts'

let server: EtcdServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const take = async (events: AsyncIterator<WatchedEvent>): Promise<[string, string, string]> => {
  const { value } = await events.next()
  const { type, pair } = value as WatchedEvent
  return [type, pair.keyText, pair.text]
}

describe('the client in the process', () => {
  test('puts, gets, lists and deletes', async () => {
    const { client } = server
    const { revision } = await client.put('a/1', 'one')
    await client.put('a/2', Uint8Array.of(0xff, 0))
    expect(await client.get('a/1')).toMatchObject({
      text: 'one',
      version: 1,
      modRevision: revision,
    })
    expect(await client.get('absent')).toBeNull()
    const { pairs, count, more } = await client.range({ prefix: 'a/' }, { limit: 1 })
    expect([pairs.map(({ keyText }) => keyText), count, more]).toEqual([['a/1'], 2, true])
    expect((await client.range({ from: 'a/2', to: 'a/3' })).pairs[0]?.value).toEqual(
      Uint8Array.of(0xff, 0),
    )
    expect(await client.delete({ prefix: 'a/' })).toMatchObject({ deleted: 2 })
    expect((await client.range({ prefix: '' })).count).toBe(0)
    expect((await client.get('a/1', { revision }))?.text).toBe('one')
  })

  test('prefixes end where the next ones begin, also those of all ones', async () => {
    const { client } = server
    const key = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)
    for (const each of [key(1, 0xff), key(1, 0xff, 7), key(2), key(0xff, 0xff), key(0xff, 0xff, 1)])
      await client.put(each, '')
    const count = async (prefix: Uint8Array): Promise<number> =>
      (await client.range({ prefix })).count
    expect(await count(key(1, 0xff))).toBe(2)
    expect(await count(key(0xff, 0xff))).toBe(2)
    expect(await count(key(1))).toBe(2)
    expect((await client.delete({ from: '' })).deleted).toBe(5)
  })

  test('compares and swaps', async () => {
    const { client } = server
    const create = {
      compare: [{ key: 'lock', createRevision: 0 }],
      success: [{ put: 'lock', value: 'me' }],
    }
    expect(await client.txn(create)).toMatchObject({ succeeded: true, results: [[]] })
    const again = await client.txn({ ...create, failure: [{ get: 'lock' }] })
    expect([again.succeeded, again.results[0]?.[0]?.text]).toEqual([false, 'me'])
    const { succeeded } = await client.txn({
      compare: [
        { key: 'lock', value: 'me' },
        { key: 'lock', version: 0, is: '>' },
        { key: 'lock', lease: 0n },
        { key: 'lock', modRevision: again.revision + 1, is: '<' },
        { key: 'lock', value: 'you', is: '!=' },
      ],
      success: [{ delete: 'lock' }],
    })
    expect(succeeded).toBe(true)
    expect(await client.get('lock')).toBeNull()
  })

  test('watches from the moment it asks, or from the past, until it is left', async () => {
    const { client } = server
    const { revision } = await client.put('w/0', 'zero')
    const events = client.watch({ prefix: 'w/' }, { previous: true })[Symbol.asyncIterator]()
    const first = take(events)
    await client.put('w/1', 'one')
    expect(await first).toEqual(['put', 'w/1', 'one'])
    await client.delete('w/1')
    const { value } = await events.next()
    expect(value).toMatchObject({ type: 'delete', previous: { text: 'one' } })
    await events.return?.()
    const past = client.watch('w/0', { startRevision: revision })[Symbol.asyncIterator]()
    expect(await take(past)).toEqual(['put', 'w/0', 'zero'])
    await past.return?.()
  })

  test('a watch ends with its signal, and says when the past is gone', async () => {
    const { client } = server
    const stop = new AbortController()
    const events = client.watch('w', { signal: stop.signal })[Symbol.asyncIterator]()
    const waiting = events.next()
    stop.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
    const { revision } = await client.put('c', '1')
    await client.put('c', '2')
    await client.call('etcdserverpb.KV/Compact', { revision: revision + 1 })
    const past = client.watch('c', { startRevision: revision })[Symbol.asyncIterator]()
    await expect(past.next()).rejects.toMatchObject({ code: 11 })
  })

  test('a slow reader misses nothing', async () => {
    const { client } = server
    const events = client.watch({ prefix: 's/' })[Symbol.asyncIterator]()
    const first = take(events)
    for (let i = 0; i < 200; i++) await client.put(`s/${i}`, '')
    expect((await first)[1]).toBe('s/0')
    for (let i = 1; i < 200; i++) expect((await take(events))[1]).toBe(`s/${i}`)
    await events.return?.()
  })

  test('a lease lasts until it is disposed, and its keys as long', async () => {
    const { client } = server
    const lease = await client.lease(60)
    await client.put('leased', 'x', { lease: lease.id })
    expect((await client.get('leased'))?.lease).toBe(lease.id)
    await lease[Symbol.asyncDispose]()
    expect(await client.get('leased')).toBeNull()
    expect(lease.ended.aborted).toBe(true)
  })

  test('a lease that others revoke says that it has ended', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const lease = await server.client.lease(6)
      await server.client.call('etcdserverpb.Lease/LeaseRevoke', { ID: halves(lease.id) })
      while (!lease.ended.aborted) {
        vi.advanceTimersByTime(500)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await lease[Symbol.asyncDispose]()
    } finally {
      vi.useRealTimers()
    }
  })

  const halves = (id: bigint): object => ({
    low: Number(BigInt.asIntN(32, id)),
    high: Number(id >> 32n),
  })

  test('is refused in etcd’s words, and stops waiting when it is told to', async () => {
    const { client } = server
    await expect(client.put('', 'x')).rejects.toMatchObject({
      code: 3,
      message: 'etcdserver: key is not provided',
    })
    const reason = new Error('enough')
    await expect(client.get('a', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await expect(client.call('no.such/Method')).rejects.toBeInstanceOf(TypeError)
    const status = await client.call<{ version: string }>('etcdserverpb.Maintenance/Status')
    expect(status.version).toBe('3.6.14')
  })
})

describe('the server', () => {
  test('finds again what its storage kept', async () => {
    const disk = memoryDisk()
    for (const expected of [undefined, 'hello']) {
      await using storage = disk.open()
      await using again = await startServer({ storage })
      expect((await again.client.get('greeting'))?.text).toBe(expected)
      await again.client.put('greeting', 'hello')
    }
  })

  test('serves others, too, where it listens: a double of etcd in tests', async () => {
    await using open = await startServer({ listen: ['127.0.0.1:0'] })
    const etcd3 = new Etcd3({ hosts: `http://${open.addresses[0]}` })
    await etcd3.put('foo').value('bar')
    expect((await open.client.get('foo'))?.text).toBe('bar')
    etcd3.close()
  })

  test('can be disposed twice, and answers nobody afterwards', async () => {
    const gone = await startServer()
    const { client } = gone
    const watch = client.watch('x')[Symbol.asyncIterator]().next()
    const ended = expect(watch).rejects.toMatchObject({ code: 14 })
    await gone[Symbol.asyncDispose]()
    await gone[Symbol.asyncDispose]()
    await ended
    await expect(client.put('a', 'b')).rejects.toMatchObject({ code: 14 })
  })
})

describe('the example in both READMEs', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  test('is the program that runs here', async () => {
    const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
    const program = read('embedded-example.ts').replace('../src/index.ts', '@coracle/etcd-api')
    for (const readme of ['../README.md', '../../../README.md'])
      expect(read(readme)).toContain(program)
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    await import('./embedded-example.ts')
    expect(log.mock.calls).toEqual([['hello']])
  })
})
