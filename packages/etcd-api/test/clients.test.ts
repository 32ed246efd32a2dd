import {
  Etcd3,
  EtcdLeaseInvalidError,
  GRPCInternalError,
  GRPCUnavailableError,
  type IKeyValue,
  type Watcher,
} from 'etcd3'
import { RaftError } from '@coracle/raft-core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { etcdctlIsInstalled, etcdctlTests } from './etcdctl.ts'
import { etcdServer } from '../src/index.ts'
import { CLUSTER_ID, type Harness, MEMBER_ID, startHarness } from './harness.ts'

if (etcdctlIsInstalled()) etcdctlTests()

let harness: Harness
let client: Etcd3

async function fill(): Promise<void> {
  for (const [key, value] of Object.entries({ foo1: 'bar1', foo2: 'bar2', foo3: '{"n":5}' }))
    await client.put(key).value(value)
}

/** Collects what a watcher is told; the answer resolves when there is so much of it. */
function changesOf(watcher: Watcher): (count: number) => Promise<string[]> {
  const seen: string[] = []
  let wake = (): void => {}
  const note = (kind: string) => (kv: IKeyValue, was?: IKeyValue) => {
    const before = was === undefined || was === null ? '' : ` (was ${was.value.toString()})`
    const change =
      kind === 'put' ? `${kv.key.toString()}=${kv.value.toString()}` : `-${kv.key.toString()}`
    seen.push(`${kv.mod_revision} ${change}${before}`)
    wake()
  }
  watcher.on('put', note('put'))
  watcher.on('delete', note('delete'))
  return async (count) => {
    while (seen.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return seen
  }
}

describe('the npm client etcd3', () => {
  beforeEach(async () => {
    harness = await startHarness()
    client = new Etcd3({ hosts: `http://${harness.address}` })
  })
  afterEach(async () => {
    client.close()
    await harness[Symbol.asyncDispose]()
  })

  test('puts and gets strings, JSON, numbers and buffers', async () => {
    await fill()
    expect(await client.get('foo1').string()).toBe('bar1')
    expect(await client.get('foo3').json()).toEqual({ n: 5 })
    expect(await client.get('foo1').buffer()).toEqual(Buffer.from('bar1'))
    expect(await client.get('none')).toBeNull()
    await client.put('n').value(7)
    expect(await client.get('n').number()).toBe(7)
    expect(await client.get('foo1').exists()).toBe(true)
  })

  test('gets by prefix, sorted, limited, keys alone and counted', async () => {
    await fill()
    await client.put('other').value('x')
    const all = client.getAll().prefix('foo')
    expect(await all.strings()).toEqual({ foo1: 'bar1', foo2: 'bar2', foo3: '{"n":5}' })
    expect(await client.getAll().prefix('foo').keys()).toEqual(['foo1', 'foo2', 'foo3'])
    expect(await client.getAll().prefix('foo').sort('Key', 'Descend').limit(2).keys()).toEqual([
      'foo3',
      'foo2',
    ])
    expect(await client.getAll().prefix('foo').sort('Value', 'Ascend').keys()).toEqual([
      'foo1',
      'foo2',
      'foo3',
    ])
    expect(await client.getAll().prefix('foo').count()).toBe(3)
    expect(await client.getAll().keys()).toEqual(['foo1', 'foo2', 'foo3', 'other'])
  })

  test('reads the past, and what was there before a put', async () => {
    const { header } = await client.put('foo').value('1')
    expect(await client.put('foo').value('2').getPrevious()).toMatchObject({
      value: Buffer.from('1'),
      version: '1',
    })
    expect(await client.get('foo').revision(header.revision).string()).toBe('1')
  })

  test('touches a key: a new revision, the same value', async () => {
    await client.put('foo').value('1')
    await client.put('foo').touch()
    expect(await client.get('foo').exec()).toMatchObject({ kvs: [{ version: '2' }] })
    expect(await client.get('foo').string()).toBe('1')
    await expect(client.put('none').touch()).rejects.toThrow('etcdserver: key not found')
  })

  test('deletes one key, a prefix, and everything', async () => {
    await fill()
    expect(await client.delete().key('foo1').getPrevious()).toHaveLength(1)
    expect(await client.delete().prefix('foo').exec()).toMatchObject({ deleted: '2' })
    expect(await client.delete().all().exec()).toMatchObject({ deleted: '0' })
  })

  test('runs transactions', async () => {
    await client.put('foo').value('1')
    const raise = (from: string, to: string) =>
      client
        .if('foo', 'Value', '==', from)
        .then(client.put('foo').value(to), client.get('foo'))
        .else(client.get('foo'))
        .commit()
    expect(await raise('1', '2')).toMatchObject({ succeeded: true, responses: [{}, {}] })
    const lost = await raise('1', '3')
    expect(lost.succeeded).toBe(false)
    expect(lost.responses[0]?.response_range?.kvs[0]?.value).toEqual(Buffer.from('2'))
    const created = await client
      .if('new', 'Create', '==', 0)
      .then(client.put('new').value('x'))
      .commit()
    expect(created.succeeded).toBe(true)
  })

  test('runs software transactional memory', async () => {
    await client.put('count').value('1')
    await client.stm().transact(async (tx) => {
      const count = await tx.get('count').number()
      await tx.put('count').value((count ?? 0) + 1)
    })
    expect(await client.get('count').number()).toBe(2)
  })

  test('lists members and tells the status', async () => {
    const { members } = await client.cluster.memberList({})
    expect(members).toMatchObject([{ ID: '10276657743932975437' }])
    expect(await client.maintenance.status()).toMatchObject({
      version: '3.6.14',
      leader: '10276657743932975437',
    })
  })

  test('compacts', async () => {
    await client.put('foo').value('1')
    await client.put('foo').value('2')
    await client.kv.compact({ revision: '3' })
    await expect(client.get('foo').revision(2).string()).rejects.toThrow(
      'etcdserver: mvcc: required revision has been compacted',
    )
  })

  test('watches a prefix: puts, deletes, and what was there before', async () => {
    await client.put('foo1').value('1')
    const watcher = await client.watch().prefix('foo').withPreviousKV().create()
    const seen = changesOf(watcher)
    await client.put('foo1').value('2')
    await client.put('other').value('x')
    await client.delete().key('foo1')
    expect(await seen(2)).toEqual(['3 foo1=2 (was 1)', '5 -foo1 (was 2)'])
    await watcher.cancel()
  })

  test('watches from a revision, one key, and only what it wants', async () => {
    for (const value of ['1', '2', '3']) await client.put('foo').value(value)
    await client.delete().key('foo')
    const from3 = changesOf(client.watch().key('foo').startRevision('3').watcher())
    const deletes = client.watch().key('foo').startRevision('1').only('delete').watcher()
    expect(await changesOf(deletes)(1)).toEqual(['5 -foo'])
    expect(await from3(3)).toEqual(['3 foo=2', '4 foo=3', '5 -foo'])
  })

  test('learns that it cannot watch what is compacted', async () => {
    await client.put('foo').value('1')
    await client.put('foo').value('2')
    await client.kv.compact({ revision: '3' })
    const watcher = client.watch().key('foo').startRevision('2').watcher()
    const failed = new Promise<Error>((resolve) => watcher.on('error', resolve))
    expect((await failed).message).toBe('Watcher canceled: ')
  })

  test('goes on watching where it was when the connection was lost', async () => {
    const watcher = await client.watch().key('foo').create()
    const seen = changesOf(watcher)
    await client.put('foo').value('1')
    expect(await seen(1)).toEqual(['2 foo=1'])
    const port = harness.address
    const { node, stateMachine } = harness
    await harness.server[Symbol.asyncDispose]()
    for (const data of harness.node.commands) stateMachine.apply([{ index: 1, term: 1, data }])
    await using again = await etcdServer({
      node,
      stateMachine,
      cluster: { id: CLUSTER_ID },
      member: { id: MEMBER_ID },
      listen: [port],
      shutdownTimeoutMs: 100,
    })
    expect(again.addresses).toEqual([port])
    expect(await seen(2)).toEqual(['2 foo=1', '3 foo=1'])
    client.close()
  })

  test('knows our errors by their texts', async () => {
    await expect(client.put('foo').lease(123).value('x')).rejects.toBeInstanceOf(
      EtcdLeaseInvalidError,
    )
    await expect(client.put('').value('x')).rejects.toThrow('etcdserver: key is not provided')
    harness.node.failWith(new RaftError('STOPPED', 'stopped'))
    const failed: unknown = await client
      .put('foo')
      .value('x')
      .exec()
      .catch((error: unknown) => error)
    expect(failed).not.toBeInstanceOf(GRPCInternalError)
    expect(failed).toBeInstanceOf(GRPCUnavailableError)
  })
})
