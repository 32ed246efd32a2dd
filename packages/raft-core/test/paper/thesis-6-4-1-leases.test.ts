import { describe, expect, test } from 'vitest'
import { resolveOptions } from '../../src/options.ts'
import { Raft, type RaftInit } from '../../src/protocol/raft.ts'
import { Cluster } from '../support/cluster.ts'
import { Disk } from '../support/disk.ts'
import {
  accepted,
  appendEntries,
  heartbeat,
  heartbeatReply,
  only,
  preVote,
  preVoteReply,
  readIndex,
  requestVote,
  timeoutNow,
  voters,
} from '../support/messages.ts'
import { Server, server, type ServerOptions } from '../support/server.ts'

/** An election timeout is 1000 ms, and a lease 800. */
const LEASES = { reads: 'lease', electionTicks: 10, tickMs: 100, maxClockDrift: 0.2 } as const

/** Leads term 2 since 1000, and owes nobody anything. Its no-op, at index 2, is not committed yet. */
function elected(options: ServerOptions = {}, stored = {}): Server {
  const a = server(stored, { ...LEASES, ...options })
  a.clock(1000)
  a.lead()
  return a
}

/** The same, and b has answered the no-op and the round of the election. */
function leader(options: ServerOptions = {}): Server {
  const a = elected(options)
  a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
  a.receive(accepted({ from: 'b', term: 2, index: 2, round: 1 }))
  expect(a.raft.commitIndex).toBe(2)
  return a
}

/** Does the leader answer a read at this moment without asking anybody? */
function serves(a: Server): boolean {
  const before = a.reads.length
  a.takeLeft()
  a.readIndex(before + 1)
  const asked = only(a.takeLeft(), 'heartbeat').length > 0
  expect(asked).toBe(a.reads.length === before)
  return !asked
}

describe('thesis 6.4.1 leases: the leader', () => {
  test('answers at once, its own reads and those of others, and asks nobody', () => {
    const a = leader()
    expect(serves(a)).toBe(true)
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
    expect(a.receive(readIndex({ from: 'c', term: 2, id: 7 }))).toMatchObject([
      { type: 'read-index-reply', to: 'c', id: 7, index: 2 },
    ])
  })

  test.each([
    [0, 1000],
    [0.2, 800],
    [0.5, 500],
  ])('with a drift of %d, for %d ms', (maxClockDrift, leaseMs) => {
    const a = leader({ maxClockDrift })
    a.clock(1000 + leaseMs - 1)
    expect(serves(a)).toBe(true)
    a.clock(1000 + leaseMs)
    expect(serves(a)).toBe(false)
  })

  test('counts from when it asked, not from when it was answered', () => {
    const a = leader()
    a.clock(1100)
    const [sent] = only(a.tick(), 'heartbeat')
    a.clock(1850)
    a.receive(heartbeatReply({ from: 'c', term: 2, round: sent!.round }))
    a.clock(1899)
    expect(serves(a)).toBe(true)
    a.clock(1900)
    expect(serves(a)).toBe(false)
  })

  test('counts from the last round that was answered, not from the newest', () => {
    const a = leader()
    a.clock(1500)
    a.tick()
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    a.clock(1800)
    expect(serves(a)).toBe(false)
  })

  test('renews it with every heartbeat', () => {
    const a = leader()
    for (let now = 1100; now < 9000; now += 100) {
      a.clock(now)
      const [sent] = only(a.tick(), 'heartbeat')
      a.receive(heartbeatReply({ from: 'b', term: 2, round: sent!.round }))
      expect(serves(a)).toBe(true)
    }
  })

  test('has none before an entry of its own term is committed, even if everybody has answered', () => {
    const a = elected()
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    a.receive(heartbeatReply({ from: 'c', term: 2, round: 1 }))
    a.readIndex(1)
    expect(a.reads).toEqual([])
    a.receive(accepted({ from: 'b', term: 2, index: 2, round: 1 }))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })

  test('nor before a majority has answered in its term, even if that entry is committed', () => {
    const a = elected()
    a.receive(accepted({ from: 'b', term: 2, index: 2, round: 0 }))
    expect(a.raft.commitIndex).toBe(2)
    expect(serves(a)).toBe(false)
  })

  test('counts nobody who promises less, or nothing, or only has the entries on its disk', () => {
    const a = elected()
    a.receive(accepted({ from: 'b', term: 2, index: 2, round: 1 }))
    expect(serves(a)).toBe(false)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1, promiseMs: 999 }))
    a.receive(heartbeatReply({ from: 'c', term: 2, round: 1, promiseMs: 0 }))
    expect(serves(a)).toBe(false)
    a.receive(heartbeatReply({ from: 'c', term: 2, round: 1, promiseMs: 1000 }))
    expect(serves(a)).toBe(true)
  })

  test('asks for it with heartbeats even while appends flow', () => {
    const a = leader()
    for (let index = 3; index < 9; index++) {
      a.propose('x')
      const [sent] = only(a.tick(), 'heartbeat')
      expect(sent).toMatchObject({ to: 'b' })
      a.receive(accepted({ from: 'b', term: 2, index }))
    }
  })

  test('while a membership is joint, needs an answer of both majorities', () => {
    const a = leader()
    const add = (id: string) => ({ type: 'add-voter', peer: { id, address: '' } }) as const
    const remove = (id: string) => ({ type: 'remove', id }) as const
    expect(serves(a)).toBe(true)
    a.input((raft) => raft.changeMembership([remove('b'), remove('c'), add('d'), add('e')], null))
    expect(serves(a)).toBe(false)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 2 }))
    expect(serves(a)).toBe(false)
    a.receive(heartbeatReply({ from: 'd', term: 2, round: 1 }))
    expect(serves(a)).toBe(true)
  })

  test('that slept until its lease was over asks first, and learns that another leads', () => {
    const a = leader()
    a.clock(60_000)
    a.readIndex(1)
    expect(a.reads).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([])
    a.receive(heartbeat({ from: 'c', term: 3 }))
    expect(a.reads).toEqual([{ id: 1, index: -1 }])
  })

  test('gives it up before its heir hears that it may campaign, and for the rest of the term', () => {
    const a = leader()
    a.receive(accepted({ from: 'c', term: 2, index: 2, round: 1 }))
    const left = a.input((raft) => raft.transferLeadership('c'))
    expect(left).toBe('c')
    expect(only(a.takeLeft(), 'timeout-now')).toHaveLength(1)
    expect(serves(a)).toBe(false)
    // The transfer is given up, but nobody can take back what the heir may still receive.
    for (let now = 1100; now <= 2500; now += 100) {
      a.clock(now)
      const [sent] = only(a.tick(), 'heartbeat')
      a.receive(heartbeatReply({ from: 'b', term: 2, round: sent!.round }))
    }
    expect(a.raft.transferring).toBe(false)
    expect(a.raft.role).toBe('leader')
    expect(serves(a)).toBe(false)
  })

  test('keeps it while the heir is only brought up to date', () => {
    const a = leader()
    a.input((raft) => raft.transferLeadership('c'))
    expect(a.raft.transferring).toBe(true)
    expect(serves(a)).toBe(true)
  })

  test('has a new one in its next term', () => {
    const a = leader()
    a.input((raft) => raft.transferLeadership('b'))
    a.receive(heartbeat({ from: 'b', term: 3 }))
    a.clock(5000)
    a.lead()
    expect(a.raft.role).toBe('leader')
    a.receive(accepted({ from: 'b', term: 4, index: 3, round: 99 }))
    expect(serves(a)).toBe(false)
    a.receive(heartbeatReply({ from: 'b', term: 4, round: 2 }))
    expect(serves(a)).toBe(true)
  })

  test('asks a majority each time unless it was told to use leases', () => {
    const a = leader({ reads: 'quorum' })
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(serves(a)).toBe(false)
  })
})

describe('thesis 6.4.1 leases: the follower', () => {
  /** Heard from b, leader of term 2, at 5000. */
  function follower(options: ServerOptions = {}): Server {
    const a = server({ term: 2 }, { ...LEASES, ...options })
    a.clock(5000)
    a.receive(heartbeat({ from: 'b', term: 2 }))
    return a
  }

  const wanted = (a: Server, term: number): boolean =>
    a
      .receive(requestVote({ from: 'c', term, last: [9, 9] }))
      .some((left) => 'granted' in left && left.granted)

  test('says what it promises, and nothing if it was not told to', () => {
    const promised = (options: ServerOptions): unknown =>
      server({ term: 2 }, options).receive(heartbeat({ from: 'b', term: 2 }))
    expect(promised(LEASES)).toMatchObject([{ type: 'heartbeat-reply', promiseMs: 1000 }])
    expect(promised({ ...LEASES, electionTicks: 7 })).toMatchObject([{ promiseMs: 700 }])
    expect(promised({})).toMatchObject([{ type: 'heartbeat-reply', promiseMs: 0 }])
  })

  test('votes for nobody for an election timeout, however many ticks pass', () => {
    const a = follower()
    a.clock(5999)
    for (let tick = 0; tick < 30; tick++) a.input((raft) => raft.tick())
    expect(a.raft.role).toBe('follower')
    expect(wanted(a, 3)).toBe(false)
    expect(a.raft.term).toBe(2)
    a.clock(6000)
    expect(wanted(a, 3)).toBe(true)
  })

  test('whatever it hears of later terms meanwhile', () => {
    const a = follower()
    a.receive(preVoteReply({ from: 'c', term: 8 }, false))
    expect([a.raft.term, a.raft.leader]).toEqual([8, null])
    expect(wanted(a, 8)).toBe(false)
    expect(wanted(a, 9)).toBe(false)
    const answers = a.receive(preVote({ from: 'c', term: 8, last: [9, 9] }))
    expect(answers).toMatchObject([{ granted: false }])
    a.clock(6000)
    expect(wanted(a, 8)).toBe(true)
  })

  test('nor for itself, not even when asked to', () => {
    const a = follower()
    a.input((raft) => raft.campaign())
    expect(a.raft.role).toBe('follower')
    a.tick(40)
    expect(a.raft.role).toBe('follower')
    a.clock(6000)
    a.tick(1)
    expect(a.raft.role).toBe('pre-candidate')
  })

  test('unless the leader wants it', () => {
    const a = follower()
    const vote = a.receive(requestVote({ from: 'c', term: 3, last: [9, 9], transfer: true }))
    expect(vote).toMatchObject([{ granted: true }])
    const b = follower()
    b.receive(timeoutNow({ from: 'b', term: 2 }))
    expect(b.raft.role).toBe('candidate')
  })

  test('an append binds it like a heartbeat', () => {
    const a = server({ term: 2 }, LEASES)
    a.clock(5000)
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1] }))
    a.clock(5999)
    expect(wanted(a, 3)).toBe(false)
  })

  test('that starts again is bound by what it may have said before', () => {
    const a = follower()
    a.clock(5500)
    a.crash()
    a.clock(6400)
    expect(wanted(a, 3)).toBe(false)
    a.clock(6500)
    expect(wanted(a, 3)).toBe(true)
  })

  test('that never ran has said nothing', () => {
    const a = new Server({ ...LEASES, membership: voters('a', 'b', 'c') })
    expect(wanted(a, 3)).toBe(true)
  })

  test('may not forget its leader', () => {
    const a = follower()
    expect(a.input((raft) => raft.forgetLeader())).toBe(false)
    expect(a.raft.leader).toBe('b')
  })
})

describe('thesis 6.4.1 leases: leader and followers', () => {
  test.each([
    [1, 1],
    [1, 1.24],
    [0.81, 1],
    [1.2, 0.9],
  ])('with clocks at %d and %d, nobody leads while another serves alone', (slow, fast) => {
    const cluster = new Cluster(['a', 'b', 'c'], LEASES)
    const rates = { a: slow, b: fast, c: fast }
    const ticks = { a: 0, b: 0, c: 0 }
    const ids = ['a', 'b', 'c'] as const
    const pass = (now: number): void => {
      for (const id of ids) {
        const own = now * rates[id]
        cluster.at(id).clock(own)
        for (; ticks[id] < Math.floor(own / 100); ticks[id] += 1)
          cluster.at(id).input((raft) => raft.tick())
      }
      cluster.stabilize()
    }
    const leads = (id: string): boolean => cluster.at(id).raft.role === 'leader'
    cluster.elect('a')
    for (let now = 0; now < 2000; now += 10) pass(now)
    cluster.isolate('a')
    let served = 0
    for (let now = 2000; now < 9000; now += 10) {
      pass(now)
      const servesAlone = leads('a') && serves(cluster.at('a'))
      if (leads('b') || leads('c')) expect(servesAlone).toBe(false)
      else if (servesAlone) served = now
    }
    expect(leads('b') || leads('c')).toBe(true)
    expect(served).toBeGreaterThan(2500)
  })

  test('without a clock there are none', () => {
    const start = (init: Partial<RaftInit>) => () =>
      new Raft({
        id: 'a',
        options: resolveOptions(LEASES),
        stored: new Disk().load(),
        bootstrap: null,
        appliedIndex: 0,
        random: () => 0,
        ...init,
      })
    expect(start({})).toThrow(RangeError)
    expect(start({ now: 0 })).not.toThrow()
  })
})
