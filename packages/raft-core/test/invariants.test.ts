import { describe, expect, test } from 'vitest'
import { checkState, checkStep, glance } from '../src/protocol/invariants.ts'
import { stateOf } from '../src/protocol/raft.ts'
import type { RaftState } from '../src/protocol/state.ts'
import { accepted, command } from './support/messages.ts'
import { server } from './support/server.ts'

type Damage = (raft: RaftState) => void

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
    const before = glance(raft)
    expect(() => checkStep(before, raft)).not.toThrow()
    damage(raft)
    expect(() => checkStep(before, raft)).toThrow(rule)
  })
})
