import { createHash } from 'node:crypto'
import { kvStateMachine } from '@coracle/kv-state-machine'
import { bootstrapMembership, RaftError } from '@coracle/raft-core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeSnapshotInfo, SNAPSHOT_BLOCK_BYTES } from '../src/index.ts'
import { codecOf } from '../src/schema.ts'
import type { SnapshotResponse } from '../src/wire.ts'
import { type Harness, MEMBER_ID, startHarness, text, wireId } from './harness.ts'

let harness: Harness
beforeEach(async () => {
  harness = await startHarness()
})
afterEach(() => harness[Symbol.asyncDispose]())

async function snapshotOf({ rpcs }: Pick<Harness, 'rpcs'>): Promise<readonly SnapshotResponse[]> {
  const messages = await rpcs('Maintenance/Snapshot')
  const codec = codecOf<SnapshotResponse>('etcdserverpb.SnapshotResponse')
  return messages.map((bytes) => codec.decode(bytes))
}

describe('a snapshot', () => {
  test('is the store in pieces of 32 KiB, each with what is to come, and the SHA-256 of them all', async () => {
    for (let i = 0; i < 200; i++)
      await harness.client.call('KV/Put', { key: text(`k${i}`), value: new Uint8Array(1_000 + i) })
    const { revision } = harness.stateMachine
    const messages = await snapshotOf(harness)
    const [digest, ...rest] = messages.toReversed()
    const pieces = rest.toReversed()
    expect(pieces.slice(0, -1).every(({ blob }) => blob.length === 32 * 1024)).toBe(true)
    const file = Buffer.concat(pieces.map(({ blob }) => blob))
    expect(digest?.blob).toEqual(new Uint8Array(createHash('sha256').update(file).digest()))
    // What etcdctl tells a whole file by.
    expect((file.length + 32) % 512).toBe(32)
    let left = file.length
    for (const { blob, remaining_bytes: remaining, version } of pieces) {
      left -= blob.length
      expect(Number(remaining)).toBe(left)
      expect(version).toBe('3.6.0')
    }
    expect(Number(digest?.remaining_bytes)).toBe(0)
    expect(left).toBe(0)

    const info = decodeSnapshotInfo(file.subarray(0, SNAPSHOT_BLOCK_BYTES))
    expect(info).toMatchObject({ revision, keyCount: 200, version: '3.6.0' })
    const restored = kvStateMachine()
    const payload = file.subarray(SNAPSHOT_BLOCK_BYTES, SNAPSHOT_BLOCK_BYTES + info.payloadBytes)
    await restored.restore(
      (async function* () {
        yield await Promise.resolve(new Uint8Array(payload))
      })(),
    )
    expect(restored.hash()).toBe(harness.stateMachine.hash())
  })

  test('is of the moment it was asked for, whatever is written while it is sent', async () => {
    await harness.client.call('KV/Put', { key: text('a'), value: text('before') })
    const asked = snapshotOf(harness)
    const { revision } = harness.stateMachine
    await harness.client.call('KV/Put', { key: text('a'), value: text('after') })
    const [first] = await asked
    expect(decodeSnapshotInfo(first?.blob ?? new Uint8Array(0)).revision).toBeLessThanOrEqual(
      revision + 1,
    )
  })

  test('begins in a way that nothing else does', () => {
    expect(() => decodeSnapshotInfo(new Uint8Array(512))).toThrow('not a snapshot')
  })
})

describe('defragmentation', () => {
  test('puts memory and disk in order, once for all who ask meanwhile', async () => {
    let asked = 0
    const defragment = async (): Promise<void> => {
      asked += 1
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await using both = await startHarness({ defragment })
    const answers = await Promise.all([
      both.client.call('Maintenance/Defragment'),
      both.client.call('Maintenance/Defragment'),
    ])
    // As in etcd there is no header.
    expect(answers).toEqual([{}, {}])
    expect(asked).toBe(1)
    await both.client.call('Maintenance/Defragment')
    expect(asked).toBe(2)
  })
})

describe('moving the leader', () => {
  test('is for the leader to do, and to a voter', async () => {
    const { client, node } = harness
    const move = (id: bigint) => client.call('Maintenance/MoveLeader', { targetID: wireId(id) })
    expect(await move(MEMBER_ID)).toEqual({})
    const bad = { code: 9, details: 'etcdserver: bad leader transferee' }
    await expect(move(0x42n)).rejects.toMatchObject(bad)
    await expect(move(0n)).rejects.toMatchObject(bad)
    const { id } = node.status()
    const peers = [
      { id, address: 'a:1' },
      { id: '42', address: 'b:1' },
    ]
    const membership = bootstrapMembership(peers)
    node.changeStatus({ membership })
    node.onTransfer = () => Promise.reject(new RaftError('UNAVAILABLE', 'it took too long'))
    await expect(move(0x42n)).rejects.toMatchObject({
      code: 2,
      details: 'etcdserver: request timed out, leader transfer took too long',
    })
    const asked: unknown[] = []
    node.onTransfer = async (to) => void asked.push(to)
    expect(await move(0x42n)).toEqual({})
    expect(asked).toEqual(['42'])
    node.changeStatus({ membership: { ...membership, voters: [id], learners: ['42'] } })
    await expect(move(0x42n)).rejects.toMatchObject(bad)
    node.changeStatus({ role: 'follower', leader: '42' })
    await expect(move(MEMBER_ID)).rejects.toMatchObject({
      code: 9,
      details: 'etcdserver: not leader',
    })
  })
})

describe('a downgrade', () => {
  const ask = (action: number, version = '') =>
    harness.client.call('Maintenance/Downgrade', { action, version })

  test.each([
    ['', 'etcdserver: wrong downgrade target version format'],
    ['3.x', 'etcdserver: wrong downgrade target version format'],
    ['3.6.0', 'etcdserver: invalid downgrade target version'],
    ['3.4', 'etcdserver: invalid downgrade target version'],
    ['2.5', 'etcdserver: invalid downgrade target version'],
  ])('to %j is refused', async (version, details) => {
    await expect(ask(0, version)).rejects.toMatchObject({ code: 3, details })
    await expect(ask(1, version)).rejects.toMatchObject({ code: 3, details })
  })

  test('goes one minor version back, one at a time, until it is cancelled', async () => {
    const none = { code: 9, details: 'etcdserver: no inflight downgrade job' }
    await expect(ask(2)).rejects.toMatchObject(none)
    expect(await ask(0, '3.5.9')).toMatchObject({ version: '3.6.0' })
    expect(await ask(1, '3.5')).toMatchObject({ version: '3.6.0' })
    const { downgradeInfo } = await harness.client.call('Maintenance/Status')
    expect(downgradeInfo).toEqual({ enabled: true, targetVersion: '3.5.0' })
    const busy = { code: 9, details: 'etcdserver: cluster has a downgrade job in progress' }
    await expect(ask(0, '3.5')).rejects.toMatchObject(busy)
    await expect(ask(1, '3.5')).rejects.toMatchObject(busy)
    await ask(2)
    await expect(ask(2)).rejects.toMatchObject(none)
  })
})

describe('alarms', () => {
  const alarm = (request: object) => harness.client.call('Maintenance/Alarm', request)

  test('are raised, listed and cleared by member and type', async () => {
    const [a, b] = [0x0an, 0xffff_ffff_ffff_fff0n]
    await alarm({ action: 1, memberID: wireId(a), alarm: 1 })
    expect(await alarm({ action: 1, memberID: wireId(b), alarm: 2 })).toMatchObject({
      alarms: [{ memberID: b, alarm: 2 }],
    })
    expect(await alarm({})).toMatchObject({
      alarms: [
        { memberID: 10, alarm: 1 },
        { memberID: b, alarm: 2 },
      ],
    })
    expect(await alarm({ alarm: 2 })).toMatchObject({ alarms: [{ memberID: b, alarm: 2 }] })
    // There is no wildcard.
    expect(await alarm({ action: 2 })).not.toHaveProperty('alarms')
    expect(await alarm({ action: 2, memberID: wireId(b), alarm: 1 })).not.toHaveProperty('alarms')
    const corrupt = { code: 15, details: 'etcdserver: corrupt cluster' }
    await expect(harness.client.call('KV/Put', { key: text('a') })).rejects.toMatchObject(corrupt)
    expect(await harness.client.call('KV/Range', { key: text('a') })).toHaveProperty('header')
    await alarm({ action: 2, memberID: wireId(b), alarm: 2 })
    expect(await alarm({})).toMatchObject({ alarms: [{ memberID: 10, alarm: 1 }] })
  })

  test('about no member in particular hold all the same', async () => {
    expect(await alarm({ action: 1, alarm: 1 })).toMatchObject({ alarms: [{ alarm: 1 }] })
    expect(await harness.client.call('Maintenance/Status')).toMatchObject({
      errors: ['alarm:NOSPACE '],
    })
    const noSpace = { code: 8, details: 'etcdserver: mvcc: database space exceeded' }
    await expect(harness.client.call('KV/Put', { key: text('a') })).rejects.toMatchObject(noSpace)
    await alarm({ action: 2, alarm: 1 })
    expect(await harness.client.call('KV/Put', { key: text('a') })).toHaveProperty('header')
  })

  test('of no kind are none', async () => {
    expect(await alarm({ action: 1, memberID: 10 })).not.toHaveProperty('alarms')
    expect(await alarm({})).not.toHaveProperty('alarms')
  })
})
