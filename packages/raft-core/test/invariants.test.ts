import { describe, expect, test } from 'vitest'
import type { Stored } from '../src/contracts/storage.ts'
import { InvariantError } from '../src/errors.ts'
import { resolveOptions } from '../src/options.ts'
import { checkStart, checkState, checkStep, glance } from '../src/protocol/invariants.ts'
import { CheckedRaft, Raft, type RaftInit, stateOf } from '../src/protocol/index.ts'
import type { Log } from '../src/protocol/log.ts'
import type { RaftState } from '../src/protocol/state.ts'
import { Disk } from './support/disk.ts'
import { textOf } from './support/files.ts'
import { accepted, command, voters } from './support/messages.ts'
import { server } from './support/server.ts'

type Damage = (raft: RaftState) => void

/** Makes a log say something else of itself than it would by its own rules. */
function pretend(raft: RaftState, says: Partial<Record<keyof Log, unknown>>): void {
  for (const [name, value] of Object.entries(says)) Object.defineProperty(raft.log, name, { value })
}

const BEFORE_ALL = { term: 0, index: -1 }
const BEYOND_THE_LOG = { matchIndex: 9, nextIndex: 10 }

/** Of another leader, as it should be. */
function follower(raft: RaftState): RaftState {
  return Object.assign(raft, { role: 'follower', leader: 'b', peers: [] })
}

function leader(): RaftState {
  const a = server({ terms: [1, 1] })
  a.lead()
  a.receive(accepted({ from: 'b', term: 2, index: 4 }))
  return stateOf(a.raft)
}

describe('a state that cannot be is found out', () => {
  test.each<[string, Damage]>([
    ['what is committed is in the log', (raft) => (raft.commitIndex = 99)],
    ['what is applied is committed', (raft) => (raft.appliedIndex = 99)],
    ['no entry is of a later term than the node', (raft) => (raft.term = 1)],
    ['whoever campaigns or leads voted for itself', (raft) => (raft.votedFor = 'b')],
    ['a leader knows who leads', (raft) => (raft.leader = 'b')],
    ['only a leader tracks its peers', (raft) => ((raft.role = 'follower'), (raft.leader = 'b'))],
    ['only a leader hands over', (raft) => Object.assign(follower(raft), { transfer: {} })],
    ['only a leader keeps reads waiting', (raft) => (follower(raft).reads.count = 1)],
    ['only a leader doubts that it leads', (raft) => (follower(raft).doubtedRound = 1)],
    ['whoever campaigns follows nobody', (raft) => (follower(raft).role = 'pre-candidate')],
    ['the window begins after what is compacted', (raft) => pretend(raft, { windowStart: 0 })],
    ['what is not saved is in the window', (raft) => pretend(raft, { unsavedFrom: 1 })],
    ['what is not saved is in the log', (raft) => pretend(raft, { unsavedFrom: 9 })],
    ['what is durable was handed to the storage', (raft) => pretend(raft, { stableIndex: 9 })],
    ['what is compacted is durable', (raft) => pretend(raft, { stableIndex: -1 })],
    ['what is gone from the window is durable', (raft) => pretend(raft, { stableIndex: 1 })],
    [
      'a write covers nothing that it was not handed',
      ({ outbox }) => Object.assign(outbox, { writing: { lastIndex: 5 } }),
    ],
    ['a leader appends only entries of its term', (raft) => pretend(raft, { last: BEFORE_ALL })],
    ['a leader is not its own peer', ({ peers }) => Object.assign(peers[0]!, { id: 'a' })],
    ['what matches is in the log', ({ peers }) => Object.assign(peers[0]!, BEYOND_THE_LOG)],
    ['a promise comes with an answer', (raft) => (raft.peers[0]!.promisedRound = 1)],
    [
      'no message, no bytes',
      ({ peers }) => Object.defineProperty(peers[0]!.inflight, 'bytes', { value: 1 }),
    ],
    ['a term begins with an entry of its leader', (raft) => (raft.termStart = 2)],
    ['what matches is not sent again', (raft) => (raft.peers[0]!.nextIndex = 2)],
    ['what is sent is in the log', (raft) => (raft.peers[0]!.nextIndex = 9)],
    ['only rounds that began are answered', (raft) => (raft.peers[0]!.ackedRound = 9)],
    ['only who replicates has messages on the way', (raft) => raft.peers[1]!.inflight.push(4, 1)],
    ['every waiting read is counted', (raft) => (raft.reads.count = 1)],
    ['only a round that began can settle a doubt', (raft) => (raft.doubtedRound = 9)],
    ['who wants no leases has none', (raft) => raft.lease.stamps.push({ round: 0, sentAt: 0 })],
    [
      'no lease outlives the word to campaign',
      (raft) => (raft.transfer = { to: 'b', elapsed: 0, asked: true, isForced: false }),
    ],
  ])('%s', (rule, damage) => {
    const raft = leader()
    expect(() => checkState(raft)).not.toThrow()
    damage(raft)
    expect(() => checkState(raft)).toThrow(rule)
  })
})

describe('a lease that cannot be is found out', () => {
  test.each<[string, Damage]>([
    [
      'only rounds that began are stamped',
      ({ lease }) => lease.stamps.push({ round: 9, sentAt: 0 }),
    ],
    ['only rounds that began are stamped', (raft) => (raft.now = 4999)],
    ['rounds are stamped in order', ({ lease }) => lease.stamps.push({ round: 1, sentAt: 0 })],
    ['stamps of rounds are bounded', ({ lease }) => (lease.stamps.length = 11)],
    [
      'only a leader counts on a lease',
      (raft) => Object.assign(raft, { role: 'follower', leader: null, peers: [] }),
    ],
  ])('%s', (rule, damage) => {
    const a = server({ terms: [1, 1] }, { reads: 'lease' })
    a.clock(5000)
    a.lead()
    const raft = stateOf(a.raft)
    expect(() => checkState(raft)).not.toThrow()
    damage(raft)
    expect(() => checkState(raft)).toThrow(rule)
  })
})

describe('a step that cannot be is found out', () => {
  test.each<[string, Damage]>([
    ['a term never falls', (raft) => (raft.term = 1)],
    ['a vote within a term never changes', (raft) => (raft.votedFor = 'b')],
    ['what is committed stays committed', (raft) => (raft.commitIndex = 1)],
    ['what is applied stays applied', (raft) => (raft.appliedIndex = 1)],
    ['a committed entry never changes', (raft) => raft.log.truncate(4)],
    ['rounds only grow', (raft) => (raft.reads.round = -1)],
    ['time never falls', (raft) => (raft.now = -1)],
    ['what is compacted stays compacted', (raft) => pretend(raft, { compacted: BEFORE_ALL })],
    ['a lease that is given up stays so', (raft) => (raft.lease.isGivenUp = false)],
    ['what matches stays', (raft) => (raft.peers[0]!.matchIndex = 1)],
    ['a leader leads one term', (raft) => (raft.term = 3)],
    [
      'a leader only appends to its log',
      (raft) => {
        raft.log.truncate(5)
        raft.log.append(command(5, 3))
      },
    ],
  ])('%s', (rule, damage) => {
    const raft = leader()
    raft.log.append(command(5, 2))
    raft.lease.isGivenUp = true
    const before = glance(raft)
    expect(() => checkStep(before, raft)).not.toThrow()
    damage(raft)
    expect(() => checkStep(before, raft)).toThrow(rule)
  })
})

describe('a start that cannot be is found out', () => {
  const stored: Stored = {
    ...new Disk().load(),
    hardState: { term: 2, votedFor: 'b', commitIndex: 1 },
    snapshot: {
      position: { term: 2, index: 3 },
      membershipIndex: 1,
      membership: voters('a', 'b', 'c'),
    },
  }

  test.each<[string, Damage]>([
    ['a term outlives a restart', (raft) => (raft.term = 1)],
    ['a vote outlives a restart', (raft) => (raft.votedFor = null)],
    ['what was committed is still committed', (raft) => (raft.commitIndex = 0)],
    ['the log goes on from what the snapshot covers', ({ log }) => log.truncate(3)],
    [
      'the log goes on from what the snapshot covers',
      ({ log }) => {
        log.truncate(3)
        for (const index of [3, 4]) log.append(command(index, 1))
      },
    ],
  ])('%s', (rule, damage) => {
    const raft = stateOf(server({ votedFor: 'b', terms: [1, 2] }).raft)
    expect(() => checkStart(stored, raft)).not.toThrow()
    damage(raft)
    expect(() => checkStart(stored, raft)).toThrow(rule)
  })
})

test('a snapshot covers only what is committed, or nothing can be said of what is', () => {
  const raft = leader()
  pretend(raft, { compacted: { term: 2, index: 5 } })
  expect(() => glance(raft)).toThrow('a snapshot covers only what is committed')
})

test('every rule is broken by a test of this page', async () => {
  const rules = await textOf('src/protocol/invariants.ts')
  const tests = await textOf('test/invariants.test.ts')
  const named = [...rules.matchAll(/'(\S+ [^'\n]+)'\)$/gm)].map(([, rule]) => rule)
  expect(named.length).toBeGreaterThan(40)
  expect(named.filter((rule) => !tests.includes(`'${rule}'`))).toEqual([])
})

describe('a protocol that checks itself', () => {
  const init: RaftInit = {
    id: 'a',
    options: resolveOptions({}),
    stored: new Disk().load(),
    bootstrap: voters('a', 'b', 'c'),
    appliedIndex: 0,
    random: () => 0,
  }

  test('looks at itself after every input', () => {
    const inputs = methodsOf(Raft)
    expect(inputs).toContain('step')
    // It only tells what is there.
    const outputs = ['constructor', 'committedEntries', 'termAt', 'hasCaughtUp', 'awaitsFetch']
    expect(methodsOf(CheckedRaft)).toEqual(
      inputs.filter((name) => name === 'constructor' || !outputs.includes(name)),
    )
  })

  test('fails the input after which it is in a state that cannot be', () => {
    const raft = new CheckedRaft(init)
    raft.tick()
    stateOf(raft).votedFor = 'b'
    expect(() => raft.tick()).not.toThrow()
    stateOf(raft).votedFor = 'c'
    expect(() => raft.tick()).toThrow(InvariantError)
  })
})

/** By name, in order. */
function methodsOf({ prototype }: { readonly prototype: object }): readonly string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(prototype))
    .flatMap(([name, { value }]) => (typeof value === 'function' ? [name] : []))
    .sort()
}
