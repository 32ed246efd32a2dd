import {
  decodeCommand,
  encodeCommand,
  kvStateMachine,
  type KvStateMachine,
} from '@coracle/kv-state-machine'
import { describe, expect, test } from 'vitest'
import { type AutoCompaction, autoCompactor } from '../src/auto-compaction.ts'
import type { ServiceContext } from '../src/context.ts'
import { stagedTime } from './staged-time.ts'

const HOUR_MS = 3_600_000

interface Stage extends Disposable {
  readonly stateMachine: KvStateMachine
  /** Who leads: this member is `a`. */
  leader: string | null
  /** Whether proposals come to anything. */
  isUp: boolean
  put(): void
  pass(ms: number): Promise<void>
}

function stage(policy: AutoCompaction): Stage {
  const environment = stagedTime()
  const stateMachine = kvStateMachine()
  let index = 0
  const apply = (data: Uint8Array): unknown =>
    stateMachine.apply([{ index: ++index, term: 1, data }])
  const leadership = { leader: 'a' as string | null }
  const context = {
    options: { environment, stateMachine, node: { status: () => ({ id: 'a' }) } },
    leadership,
    proposeOwn: async (command: Uint8Array) => {
      if (!staged.isUp) throw new Error('no majority')
      expect(decodeCommand(command).type).toBe('compact')
      apply(command)
    },
  }
  const compactor = autoCompactor(context as unknown as ServiceContext, policy)
  const staged: Stage = {
    stateMachine,
    isUp: true,
    get leader() {
      return leadership.leader
    },
    set leader(id) {
      leadership.leader = id
    },
    put() {
      const key = new TextEncoder().encode('k')
      const request = {
        key,
        value: key,
        lease: 0n,
        prevKv: false,
        ignoreValue: false,
        ignoreLease: false,
      }
      apply(encodeCommand({ type: 'put', request }))
    },
    async pass(ms) {
      for (let passed = 0; passed < ms; passed += HOUR_MS / 60) {
        environment.advance(HOUR_MS / 60)
        await new Promise(setImmediate)
      }
    },
    [Symbol.dispose]: () => compactor[Symbol.dispose](),
  }
  return staged
}

describe('with a time to keep', () => {
  const policy: AutoCompaction = { mode: 'periodic', retentionMs: HOUR_MS }

  test('what is older is forgotten within a tenth of that time, and nothing before', async () => {
    using member = stage(policy)
    member.put()
    const old = member.stateMachine.revision
    await member.pass(HOUR_MS / 2)
    member.put()
    member.put()
    await member.pass(HOUR_MS / 2)
    expect(member.stateMachine.compactRevision).toBe(-1)
    await member.pass(HOUR_MS / 10)
    expect(member.stateMachine.compactRevision).toBe(old)
    await member.pass(HOUR_MS)
    expect(member.stateMachine.compactRevision).toBe(old + 2)
  })

  test('only the leader compacts, and a new one goes on where the last one was', async () => {
    using member = stage(policy)
    member.leader = 'b'
    member.put()
    const old = member.stateMachine.revision
    await member.pass(3 * HOUR_MS)
    expect(member.stateMachine.compactRevision).toBe(-1)
    member.leader = 'a'
    await member.pass(HOUR_MS / 10)
    expect(member.stateMachine.compactRevision).toBe(old)
  })

  test('what could not be done is done later', async () => {
    using member = stage(policy)
    member.put()
    member.isUp = false
    await member.pass(2 * HOUR_MS)
    expect(member.stateMachine.compactRevision).toBe(-1)
    member.isUp = true
    await member.pass(HOUR_MS / 10)
    expect(member.stateMachine.compactRevision).toBe(2)
  })
})

test('with a number to keep, so many revisions stay', async () => {
  using member = stage({ mode: 'revision', retention: 10 })
  for (let count = 0; count < 30; count++) member.put()
  await member.pass(HOUR_MS / 6)
  expect(member.stateMachine.compactRevision).toBe(member.stateMachine.revision - 10)
})

test.each([
  { mode: 'periodic', retentionMs: 0 },
  { mode: 'periodic', retentionMs: 1.5 },
  { mode: 'revision', retention: 0 },
] satisfies AutoCompaction[])('%j makes no sense', (policy) => {
  expect(() => stage(policy)).toThrow(RangeError)
})
