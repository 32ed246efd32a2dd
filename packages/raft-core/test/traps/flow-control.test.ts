import { describe, expect, test } from 'vitest'
import { resolveOptions } from '../../src/options.ts'
import { Cluster, ofType, to } from '../support/cluster.ts'
import { accepted, heartbeat, heartbeatReply, only, refused, text } from '../support/messages.ts'
import { type Server, server, type ServerOptions } from '../support/server.ts'

/** A leader of term 2 that replicates to b and has not heard from c. */
function leader(options: ServerOptions = {}): Server {
  const a = server({}, { minBatchBytes: 0, ...options })
  a.lead()
  a.receive(accepted({ from: 'b', term: 2, index: 2 }))
  a.takeLeft()
  return a
}

const toB = (a: Server) => only(a.takeLeft(), 'append-entries').filter(({ to: id }) => id === 'b')

describe('flow control (thesis 10.2.1)', () => {
  test('a full window sends no more, and an answer makes room', () => {
    const a = leader({ maxInflightMessages: 2 })
    for (const words of ['1', '2', '3', '4']) a.propose(words)
    expect(toB(a)).toHaveLength(2)
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.peer('b').inflight.count).toBe(2)
    a.receive(accepted({ from: 'b', term: 2, index: 6 }))
    expect(a.peer('b').inflight.count).toBe(0)
    expect(a.peer('b').nextIndex).toBe(7)
  })

  test('a window is full of bytes too, and one message always fits', () => {
    const a = leader({ maxInflightBytes: 1000 })
    a.input((raft) => raft.propose([new Uint8Array(5000)]))
    expect(toB(a)).toHaveLength(1)
    a.propose('small')
    expect(toB(a)).toEqual([])
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.peer('b').inflight.bytes).toBe(text('small').length)
  })

  test('heartbeats do not overflow a full window, and the answers to them open it again', () => {
    const cluster = new Cluster(['a', 'b', 'c'], { maxInflightMessages: 2, minBatchBytes: 0 })
    cluster.elect('a')
    for (let i = 1; i <= 6; i++) cluster.propose('a', `${i}`)
    expect(cluster.drop(ofType('append-entries'))).toBe(4)
    cluster.tick(3)
    for (const id of ['b', 'c'])
      expect(cluster.at(id).state).toEqual(['1', '2', '3', '4', '5', '6'])
    expect(cluster.at('a').peer('b').inflight.count).toBe(0)
  })

  test('what was on the way to a follower is forgotten when it is probed, in bytes too', () => {
    const a = leader()
    a.propose('12345678')
    expect(a.peer('b').inflight.bytes).toBe(8)
    a.input((raft) => raft.peerUnreachable('b'))
    expect(a.peer('b')).toMatchObject({ state: 'probe', nextIndex: 3, inflight: { bytes: 0 } })
  })

  test('a follower that is gone holds no entries back from being evicted or compacted', () => {
    const a = leader({ maxWindowBytes: 0 })
    for (let i = 0; i < 5; i++) a.propose(`${i}`)
    a.receive(accepted({ from: 'b', term: 2, index: 7 }))
    a.takeSnapshot()
    expect(a.raft.firstIndex).toBe(8)
  })

  test('a follower that has everything does not stay in probe', () => {
    const a = leader()
    a.input((raft) => raft.peerUnreachable('b'))
    a.takeLeft()
    a.receive(heartbeatReply({ from: 'b', term: 2 }))
    a.tick()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    expect(a.peer('b').state).toBe('replicate')
  })

  test('a lost probe is sent again once the follower answers a heartbeat', () => {
    const a = server({ terms: [1] })
    a.lead()
    expect(only(a.tick(), 'append-entries')).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2 }))
    expect(only(a.tick(), 'append-entries').map((message) => message.to)).toEqual(['b'])
  })

  test('a lost message to a follower that replicates is found out without any timer', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'lost')
    cluster.drop((message) => to('b')(message))
    cluster.propose('a', 'arrives')
    cluster.tick(4)
    expect(cluster.at('b').state).toEqual(['lost', 'arrives'])
  })

  test('a follower whose disk stalls is fed again when it answers, however long that took', () => {
    const cluster = new Cluster(['a', 'b', 'c'], { maxInflightMessages: 2, minBatchBytes: 0 })
    cluster.elect('a')
    cluster.at('b').slowDisk = true
    for (let i = 0; i < 10; i++) cluster.propose('a', `${i}`)
    cluster.tick(50)
    expect(cluster.at('a').raft.role).toBe('leader')
    expect(cluster.at('b').state).toEqual([])
    cluster.at('b').slowDisk = false
    cluster.at('b').persist()
    cluster.tick(3)
    expect(cluster.at('b').state).toHaveLength(10)
  })

  test('few large messages rather than many small ones while others are on the way', () => {
    const a = leader({ minBatchBytes: 2000 })
    for (let i = 0; i < 9; i++) a.propose(`${i}`)
    // An entry counts for 161 bytes here: the more messages are on the way, the more go into the next.
    const sizes = toB(a).map(({ entries }) => entries.length)
    expect(sizes).toEqual([1, 1, 4])
    a.receive(accepted({ from: 'b', term: 2, index: 4 }))
    expect(a.peer('b').nextIndex).toBe(12)
  })

  test('but no longer than a tick: over a slow link an answer may be long in coming', () => {
    const a = leader({ minBatchBytes: 2000 })
    for (let i = 0; i < 3; i++) a.propose(`${i}`)
    expect(toB(a)).toHaveLength(2)
    const left = only(a.tick(), 'append-entries').filter(({ to: id }) => id === 'b')
    expect(left.map(({ entries }) => entries.length)).toEqual([1])
  })

  test('a message is cut at its size, and one entry always fits', () => {
    const a = leader({ maxMessageBytes: 500, maxInflightBytes: 1 << 20 })
    a.input((raft) => raft.propose([1, 1, 1, 9, 1].map((kb) => new Uint8Array(kb * 100))))
    expect(toB(a).map(({ entries }) => entries.map(({ index }) => index))).toEqual([
      [3],
      [4],
      [5],
      [6],
      [7],
    ])
  })

  test('slow followers are read for from the disk, one read at a time, in messages of their size', () => {
    const a = server(
      { terms: Array.from({ length: 20 }, () => 1) },
      { maxMessageBytes: 20, minBatchBytes: 0 },
    )
    a.lead()
    const sent = only(a.receive(accepted({ from: 'b', term: 2, index: 1 })), 'append-entries')
    expect(sent.flatMap(({ entries }) => entries.map(({ index }) => index))).toEqual(
      Array.from({ length: 21 }, (_, at) => at + 2),
    )
    expect(Math.max(...sent.map(({ entries }) => entries.length))).toBeLessThan(20)
  })

  test('a follower that is away gets its snapshot when it is back, not before', () => {
    const a = leader({ maxInflightMessages: 1 })
    a.receive(accepted({ from: 'c', term: 2, index: 2 }))
    for (let tick = 0; tick < 20; tick++) {
      a.receive(heartbeatReply({ from: 'b', term: 2 }))
      a.tick()
    }
    for (let i = 0; i < 3; i++) {
      a.propose(`${i}`)
      a.receive(accepted({ from: 'b', term: 2, index: a.raft.lastIndex }))
    }
    a.takeSnapshot()
    expect(a.raft.firstIndex).toBe(6)
    expect(a.snapshotsDue).toEqual([])
    // In one turn it is heard again and looked after: what to send it next is forgotten by now.
    a.input((raft) => {
      raft.step(heartbeatReply({ from: 'c', term: 2 }))
      raft.tick()
    })
    expect(a.snapshotsDue).toEqual(['c'])
  })

  test('a snapshot that was announced ends with the stream, or with an answer that reaches the log', () => {
    for (const behind of [false, true]) {
      const a = server({ terms: [1, 1, 1], commit: 4 })
      a.takeSnapshot()
      a.lead()
      a.receive(refused({ from: 'b', term: 2, index: 4, hint: [1, 1] }))
      a.input((raft) => raft.announceSnapshot('b', a.disk.snapshot!.meta))
      a.receive(accepted({ from: 'b', term: 2, index: behind ? 3 : 4 }))
      expect(a.peer('b').state).toBe(behind ? 'snapshot' : 'replicate')
    }
  })
})

describe('quotas (§8)', () => {
  test('what is uncommitted is bounded, drains as it is committed, and does not leak', () => {
    const a = leader({ maxUncommittedBytes: 1000 })
    for (let round = 0; round < 20; round++) {
      const from = a.raft.lastIndex
      const all = a.propose(...Array.from({ length: 50 }, () => 'x'.repeat(100)))
      expect(all.accepted).toBeGreaterThan(0)
      expect(all.why).toBe('too much is uncommitted')
      expect(a.propose('x'.repeat(1000))).toMatchObject({ accepted: 0 })
      a.receive(accepted({ from: 'b', term: 2, index: from + all.accepted }))
      expect(a.raft.commitIndex).toBe(a.raft.lastIndex)
    }
  })

  test('it is empty again after a change of term took the entries away', () => {
    const a = leader({ maxUncommittedBytes: 1000 })
    a.propose('x'.repeat(990))
    expect(a.propose('y'.repeat(100))).toMatchObject({ accepted: 0 })
    a.receive({
      type: 'append-entries',
      from: 'c',
      to: 'a',
      term: 3,
      prevLog: { term: 2, index: 2 },
      entries: [{ index: 3, term: 3, type: 'no-op', data: new Uint8Array(0) }],
      commitIndex: 3,
      round: 0,
    })
    a.lead()
    a.receive(accepted({ from: 'b', term: 4, index: 4 }))
    expect(a.propose('y'.repeat(100))).toMatchObject({ accepted: 1 })
  })

  test('a flood of empty commands is bounded too', () => {
    const a = leader({ maxUncommittedBytes: 1000 })
    const { accepted: taken } = a.propose(...Array.from({ length: 1000 }, () => ''))
    expect(taken).toBeLessThan(20)
  })

  test('what is applied and durable leaves the memory, down to what followers may need', () => {
    const a = leader({ maxWindowBytes: 1000 })
    for (let i = 0; i < 100; i++) {
      a.propose('x'.repeat(100))
      a.receive(accepted({ from: 'b', term: 2, index: a.raft.lastIndex }))
    }
    expect(a.raft.committedEntries(50, 1 << 20)).toBe(null)
    expect(a.raft.committedEntries(a.raft.lastIndex - 2, 1 << 20)).toHaveLength(3)
  })

  test('a helping of what is committed skips nothing and repeats nothing', () => {
    const a = leader({ maxUncommittedBytes: 1 << 20 })
    a.slowMachine = true
    a.propose(...Array.from({ length: 30 }, (_, at) => `${at}`.repeat(1 + (at % 7))))
    a.receive(accepted({ from: 'b', term: 2, index: a.raft.lastIndex }))
    const seen: number[] = []
    for (let from = a.raft.appliedIndex + 1; from <= a.raft.commitIndex;) {
      const entries = a.raft.committedEntries(from, 500)!
      expect(entries.length).toBeGreaterThan(0)
      seen.push(...entries.map(({ index }) => index))
      from = entries.at(-1)!.index + 1
    }
    expect(seen).toEqual(Array.from({ length: 30 }, (_, at) => at + 3))
  })

  test('answers that wait for one write become one', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    a.receive(heartbeat({ from: 'b', term: 3 }))
    for (let i = 0; i < 100; i++)
      a.receive({
        type: 'append-entries',
        from: 'b',
        to: 'a',
        term: 3,
        prevLog: i === 0 ? { term: 1, index: 1 } : { term: 3, index: i + 1 },
        entries: [{ index: i + 2, term: 3, type: 'command', data: new Uint8Array(1) }],
        commitIndex: 1,
        round: 0,
      })
    a.persist()
    expect(a.persist()).toMatchObject([{ type: 'append-entries-reply', index: 101 }])
  })
})

describe('heartbeats', () => {
  /** A tick in which b is sent an append and answers it. */
  function flow(a: Server): readonly string[] {
    a.propose('x')
    a.receive(accepted({ from: 'b', term: 2, index: a.raft.lastIndex }))
    return a.tick().flatMap((left) => (left.to === 'b' ? [left.type] : []))
  }

  test('where appends flow, they stand in for heartbeats', () => {
    const a = leader()
    a.tick(2)
    expect(flow(a)).toEqual(['heartbeat'])
    for (let i = 0; i < 5; i++) expect(flow(a)).toEqual([])
  })

  test('whoever is sent nothing gets every one', () => {
    const a = leader()
    for (let i = 0; i < 5; i++) {
      flow(a)
      expect(only(a.tick(), 'heartbeat').map((left) => left.to)).toEqual(['b', 'c'])
    }
  })

  test('so does one that does not answer: its disk may be slow', () => {
    const a = leader({ maxInflightMessages: 100 })
    for (let i = 0; i < 3; i++) flow(a)
    a.propose('x')
    a.tick()
    a.propose('x')
    expect(only(a.tick(), 'heartbeat').map((left) => left.to)).toContain('b')
  })

  test('a read that waits is never made to wait for a disk', () => {
    const a = leader()
    for (let i = 0; i < 3; i++) flow(a)
    a.readIndex(1)
    a.takeLeft()
    expect(flow(a)).toEqual(['heartbeat'])
  })

  test('followers that are not patient enough for a tick more get every one', () => {
    const a = leader({ electionTicks: 3, heartbeatTicks: 2 })
    const types = Array.from({ length: 8 }, () => flow(a)).flat()
    expect(types).toEqual(['heartbeat', 'heartbeat', 'heartbeat', 'heartbeat'])
  })

  test('nobody campaigns while appends flow, and the log comes whole in spite of losses', () => {
    const cluster = new Cluster(['a', 'b', 'c'], { electionTicks: 3 })
    cluster.elect('a')
    for (let i = 0; i < 60; i++) {
      cluster.propose('a', `${i}`)
      if (i % 7 === 0) cluster.drop(to('b'))
      cluster.tick(1)
      expect(cluster.at('a').raft.role).toBe('leader')
    }
    cluster.tick(5)
    expect(cluster.at('b').state).toHaveLength(60)
    expect(cluster.at('a').raft.term).toBe(2)
  })
})

describe('limits that change', () => {
  test('a window that shrinks lets what is on the way arrive, and no more leave', () => {
    const a = leader({ maxInflightMessages: 4 })
    for (const words of ['1', '2', '3']) a.propose(words)
    expect(toB(a)).toHaveLength(3)
    const options = resolveOptions({ minBatchBytes: 0, maxInflightMessages: 2 })
    a.input((raft) => raft.reconfigure(options))
    a.propose('4')
    expect(toB(a)).toEqual([])
    a.receive(accepted({ from: 'b', term: 2, index: 4 }))
    expect(a.peer('b').inflight.count).toBe(2)
    a.input((raft) => raft.reconfigure({ ...options, maxInflightMessages: 9 }))
    for (const words of ['5', '6', '7', '8']) a.propose(words)
    expect(a.peer('b').inflight.count).toBe(6)
    a.receive(accepted({ from: 'b', term: 2, index: a.raft.lastIndex }))
    expect(a.peer('b').inflight).toMatchObject({ count: 0, bytes: 0 })
  })

  test('a window that shrinks while entries come from the disk takes them when it has room again', () => {
    const sizes = { minBatchBytes: 0, maxMessageBytes: 1 }
    const a = server({ terms: [1, 1, 1, 1] }, { slowReads: true, maxInflightMessages: 2, ...sizes })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 1 }))
    a.answerFetch()
    expect(a.peer('b').inflight.count).toBe(1)
    expect(a.fetches).toHaveLength(1)
    const options = resolveOptions({ ...sizes, maxInflightMessages: 1 })
    a.input((raft) => raft.reconfigure(options))
    a.takeLeft()
    a.answerFetch()
    expect(toB(a)).toEqual([])
    a.receive(accepted({ from: 'b', term: 2, index: a.peer('b').nextIndex - 1 }))
    a.answerFetch()
    expect(toB(a)).toHaveLength(1)
  })

  test('a shorter election timeout is over when it would have been over', () => {
    const a = server()
    a.tick(6)
    a.input((raft) => raft.reconfigure(resolveOptions({ electionTicks: 4 })))
    expect(a.raft.role).toBe('follower')
    a.tick(1)
    expect(a.raft.role).toBe('pre-candidate')
  })

  test('what is committed and durable leaves memory, even if the state machine is slow', () => {
    const a = leader({ maxWindowBytes: 1000 })
    a.slowMachine = true
    for (let i = 0; i < 50; i++) {
      a.propose(`${i}`)
      a.receive(accepted({ from: 'b', term: 2, index: a.raft.lastIndex }))
    }
    expect(a.raft.committedEntries(3, 1 << 20)).toBe(null)
    a.slowMachine = false
    a.apply()
    expect(a.state).toHaveLength(50)
  })
})
