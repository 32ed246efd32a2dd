import { describe, expect, test } from 'vitest'
import { Cluster, ofType } from '../support/cluster.ts'
import {
  accepted,
  appendEntries,
  commands,
  heartbeat,
  heartbeatReply,
  only,
  preVote,
  timeoutNow,
  voters,
} from '../support/messages.ts'
import { type Server, server, type ServerOptions } from '../support/server.ts'

/** Leads term 2, and b has acknowledged its no-op. */
function leader(options: ServerOptions = {}): Server {
  const a = server({}, options)
  a.lead()
  a.receive(accepted({ from: 'b', term: 2, index: 2 }))
  a.takeLeft()
  return a
}

/** A tick at which both others are heard. */
function tick(a: Server): readonly { readonly type: string }[] {
  const left = a.tick()
  for (const from of ['b', 'c']) a.receive(heartbeatReply({ from, term: a.raft.term }))
  return left
}

const stalls = (a: Server): readonly string[] =>
  a.events.flatMap((event) => (event.type === 'leader-stalled' ? [event.why] : []))

describe('a leader whose disk stands still (etcd#15247)', () => {
  function stalled(): Server {
    const a = leader()
    a.slowDisk = true
    a.propose('x')
    expect(a.writing).not.toBe(null)
    return a
  }

  test('hands over to the voter that is furthest after an election timeout', () => {
    const a = stalled()
    a.receive(accepted({ from: 'c', term: 2, index: 3 }))
    for (let i = 0; i < 9; i++) expect(tick(a).map(({ type }) => type)).not.toContain('timeout-now')
    expect(only(a.tick(), 'timeout-now')).toMatchObject([{ to: 'c' }])
    expect(a.propose('y').why).toBe('leadership is being handed over')
    expect(stalls(a)).toEqual(['disk'])
  })

  test('steps down if nobody has taken over after another: its heartbeats keep others from leading', () => {
    const a = stalled()
    for (let i = 0; i < 19; i++) tick(a)
    expect(a.raft.role).toBe('leader')
    expect(only(a.tick(), 'heartbeat')).toEqual([])
    expect(a.raft.role).toBe('follower')
    expect(a.tick(9)).toEqual([])
  })

  test('and does not campaign, nor take over, before the disk goes on', () => {
    const a = stalled()
    for (let i = 0; i < 20; i++) tick(a)
    a.tick(100)
    expect(a.raft.role).toBe('follower')
    a.receive(heartbeat({ from: 'c', term: 2 }), timeoutNow({ from: 'c', term: 2 }))
    expect([a.raft.role, a.raft.term]).toEqual(['follower', 2])
    expect(a.ignored).toContain('the disk stands still')
    a.slowDisk = false
    a.persist()
    a.tick(40)
    expect(a.raft.role).toBe('pre-candidate')
  })

  test('leads on if the disk goes on before the heir was asked', () => {
    const a = stalled()
    for (let i = 0; i < 12; i++) tick(a)
    expect(a.raft.transferring).toBe(true)
    a.slowDisk = false
    a.persist()
    expect(a.raft.transferring).toBe(false)
    expect(a.propose('y').why).toBe(null)
    for (let i = 0; i < 30; i++) tick(a)
    expect(a.raft.role).toBe('leader')
  })

  test('but if the heir was asked, it may be leading by now', () => {
    const a = stalled()
    a.receive(accepted({ from: 'c', term: 2, index: 3 }))
    for (let i = 0; i < 10; i++) tick(a)
    a.slowDisk = false
    a.persist()
    expect(a.raft.transferring).toBe(true)
  })

  test('but a transfer that somebody asked for goes on', () => {
    const a = stalled()
    a.input((raft) => raft.transferLeadership('c'))
    a.slowDisk = false
    a.persist()
    expect(a.raft.transferring).toBe(true)
  })

  test('writes that take less are nobody’s business, however many there are', () => {
    const a = leader()
    a.slowDisk = true
    for (let round = 0; round < 10; round++) {
      a.propose('x')
      for (let i = 0; i < 9; i++) tick(a)
      a.persist()
    }
    expect(stalls(a)).toEqual([])
    expect(a.raft.role).toBe('leader')
  })

  test('a single voter has nobody to hand over to, and waits', () => {
    const members = { ...voters('a', 'l'), voters: ['a'], learners: ['l'] }
    const a = server({ members })
    expect(a.raft.role).toBe('leader')
    a.slowDisk = true
    a.propose('x')
    a.tick(100)
    expect(a.raft.role).toBe('leader')
    expect(stalls(a)).toEqual([])
  })

  test('the cluster goes on under another, and loses nothing that was acknowledged', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').slowDisk = true
    cluster.propose('a', 'x')
    cluster.tick(12)
    const led = ['b', 'c'].find((id) => cluster.at(id).raft.role === 'leader')
    expect(led).toBeDefined()
    cluster.propose(led!, 'y')
    cluster.stabilize()
    expect(cluster.at(led!).state).toEqual(['x', 'y'])
  })

  test('what it may take in while its disk stands still is bounded, even if others commit it', () => {
    const a = leader({ maxUncommittedBytes: 1000 })
    a.slowDisk = true
    for (let i = 0; i < 20; i++) {
      a.propose('x')
      for (const from of ['b', 'c']) a.receive(accepted({ from, term: 2, index: a.raft.lastIndex }))
    }
    expect(a.raft.commitIndex).toBe(a.raft.lastIndex)
    expect(a.raft.lastIndex).toBeLessThan(10)
    a.slowDisk = false
    a.persist()
    expect(a.propose('y').accepted).toBe(1)
  })

  test('of what waits for the disk, no answer takes the place of one that says something else', () => {
    const a = server({}, { slowDisk: true })
    const append = (prev: readonly [number, number], terms: readonly number[]) =>
      appendEntries({
        from: 'b',
        term: 2,
        prev,
        entries: commands(prev[1] + 1, ...terms),
        round: 7,
      })
    a.input((raft) => {
      raft.step(append([1, 1], [2, 2]))
      raft.step(append([2, 9], []))
      raft.step(append([1, 1], [2]))
    })
    const answers = only(a.persist(), 'append-entries-reply')
    expect(answers.map(({ accepted: isAccepted, index }) => [isAccepted, index])).toEqual([
      [true, 3],
      [false, 9],
      [true, 2],
    ])
  })

  test('what waits for the disk is bounded, however often everybody asks', () => {
    const a = server({}, { slowDisk: true })
    a.input((raft) => raft.campaign())
    const term = 5
    a.receive(heartbeat({ from: 'b', term }))
    for (let i = 0; i < 100; i++) {
      a.receive(preVote({ from: 'c', term: term + i, last: [9, 9] }))
      a.receive({
        type: 'append-entries',
        from: 'b',
        to: 'a',
        term,
        prevLog: { term: 1, index: 1 },
        entries: [],
        commitIndex: 1,
        round: i,
      })
      a.tick()
    }
    const left = [...a.persist(), ...(a.writing === null ? [] : a.persist())]
    const answers = left.filter(({ type }) => type.endsWith('reply'))
    expect(answers.length).toBeGreaterThan(0)
    expect(answers.length).toBeLessThan(5)
    expect(only(left, 'append-entries-reply').at(-1)).toMatchObject({ round: 99 })
  })
})

describe('a leader whose process stood still (hashi#503)', () => {
  /** Was away for an election timeout, and is back. */
  function paused(options: ServerOptions = {}): Server {
    const a = leader({ electionTicks: 10, tickMs: 100, ...options })
    a.clock(500)
    a.clock(1500)
    return a
  }

  test('asks everybody at once whether it still leads', () => {
    const a = leader()
    a.clock(500)
    expect(a.clock(1499)).toEqual([])
    expect(only(a.clock(2499), 'heartbeat').map(({ to, round }) => [to, round])).toEqual([
      ['b', 1],
      ['c', 1],
    ])
    expect(stalls(a)).toEqual(['process'])
  })

  test('takes no proposal before a majority has confirmed it', () => {
    const a = paused()
    expect(a.propose('x')).toMatchObject({ accepted: 0, why: 'leadership is in doubt' })
    a.receive(heartbeatReply({ from: 'c', term: 2, round: 1 }))
    expect(a.propose('x').accepted).toBe(1)
  })

  test('changes no membership before that either', () => {
    const a = paused()
    const changes = [{ type: 'remove', id: 'c' }] as const
    expect(a.raft.changeMembership(changes, null)).toMatchObject({
      refused: 'not-leader',
      why: 'leadership is in doubt',
    })
    a.receive(heartbeatReply({ from: 'c', term: 2, round: 1 }))
    expect(a.raft.changeMembership(changes, null)).toHaveProperty('index')
  })

  test('believes no answer that waited while it stood still', () => {
    const a = paused()
    a.receive(heartbeatReply({ from: 'b', term: 2 }), accepted({ from: 'c', term: 2, index: 2 }))
    expect(a.propose('x').accepted).toBe(0)
  })

  test('steps down if nobody confirms it within an election timeout', () => {
    const a = paused()
    a.tick(9)
    expect(a.raft.role).toBe('leader')
    a.tick(1)
    expect(a.raft.role).toBe('follower')
  })

  test('and not sooner, however long ago it had checked its quorum', () => {
    const a = leader({ electionTicks: 10, tickMs: 100 })
    a.clock(500)
    for (let i = 0; i < 9; i++) tick(a)
    a.clock(1500)
    a.tick(9)
    expect(a.raft.role).toBe('leader')
  })

  test('asks again while nobody answers', () => {
    const a = paused()
    expect(only(a.tick(), 'heartbeat')).toMatchObject([{ round: 1 }, { round: 1 }])
  })

  test('answers no read before', () => {
    const a = paused()
    a.readIndex(1)
    expect(a.reads).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 2 }))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })

  test('decides alone if it is the only voter', () => {
    const a = server({ members: voters('a') })
    a.clock(500)
    a.clock(9999)
    expect(a.propose('x').accepted).toBe(1)
  })

  test('what another leads meanwhile is not disturbed', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').clock(1)
    cluster.tick(40, ['b', 'c'])
    const led = ['b', 'c'].find((id) => cluster.at(id).raft.role === 'leader')
    cluster.network = cluster.network.filter((message) => message.to !== 'a')
    cluster.at('a').clock(5000)
    expect(cluster.at('a').propose('lost').accepted).toBe(0)
    cluster.stabilize()
    expect(cluster.at('a').raft.leader).toBe(led)
    expect(cluster.drop(ofType('append-entries'))).toBe(0)
  })

  test('a clock that steps back stands still', () => {
    const a = leader()
    a.clock(5000)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    a.clock(1000)
    a.clock(5500)
    expect(stalls(a)).toEqual(['process'])
  })

  test('a follower that stood still has nothing to doubt', () => {
    const a = server()
    a.clock(5000)
    expect(a.clock(90_000)).toEqual([])
    expect(a.events.some(({ type }) => type === 'leader-stalled')).toBe(false)
  })
})
