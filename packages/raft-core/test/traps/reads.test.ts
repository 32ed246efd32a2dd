import { describe, expect, test } from 'vitest'
import { Cluster, from, ofType, to } from '../support/cluster.ts'
import {
  accepted,
  heartbeat,
  heartbeatReply,
  only,
  readIndex,
  timeoutNow,
  voters,
} from '../support/messages.ts'
import { server } from '../support/server.ts'

describe('reads (thesis 6.4)', () => {
  test('late answers to an earlier round never confirm a read that is asked again', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').readIndex(1)
    cluster.deliver(ofType('heartbeat'))
    cluster.collect()
    const late = cluster.network.filter(ofType('heartbeat-reply'))
    expect(late).toHaveLength(2)
    cluster.isolate('a')
    cluster.elect('b')
    cluster.propose('b', 'x=2')
    cluster.stabilize()
    cluster.at('a').readIndex(1)
    // The first question was confirmed in its time; the second came after b had taken over.
    cluster.at('a').receive(...late)
    expect(cluster.at('a').reads).toHaveLength(1)
    cluster.heal()
    cluster.tick(3)
    expect(cluster.at('a').reads.map(({ index }) => index)).toEqual([2, -1])
  })

  test('answers to a leader of an earlier term confirm nothing for the same server in a later one', () => {
    const a = server()
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    a.readIndex(1)
    a.receive(heartbeat({ from: 'c', term: 3 }))
    expect(a.reads).toEqual([{ id: 1, index: -1 }])
    a.lead()
    a.receive(accepted({ from: 'b', term: 4, index: 3 }))
    a.readIndex(2)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    a.receive(heartbeatReply({ from: 'b', term: 4, round: 1 }))
    expect(a.reads).toHaveLength(1)
    a.receive(heartbeatReply({ from: 'b', term: 4, round: 2 }))
    expect(a.reads[1]).toEqual({ id: 2, index: 3 })
  })

  test('a new leader that does not know yet what is committed lets a read wait', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    // a commits x and crashes before it tells anybody so.
    cluster.propose('a', 'x')
    cluster.deliver(ofType('append-entries'))
    cluster.deliver(to('a'))
    expect(cluster.at('a').state).toEqual(['x'])
    cluster.crash('a')
    cluster.drop()
    cluster.at('b').input((raft) => raft.step(timeoutNow({ from: 'a', to: 'b', term: 2 })))
    cluster.deliver(ofType('request-vote'))
    cluster.deliver(ofType('request-vote-reply'))
    expect(cluster.at('b').raft.role).toBe('leader')
    cluster.at('b').readIndex(7)
    cluster.deliver(ofType('heartbeat'))
    cluster.deliver(ofType('heartbeat-reply'))
    expect(cluster.at('b').raft.commitIndex).toBe(2)
    expect(cluster.at('b').reads).toEqual([])
    cluster.stabilize()
    expect(cluster.at('b').reads).toEqual([{ id: 7, index: 4 }])
    expect(cluster.at('b').state).toEqual(['x'])
  })

  test('reads that share a round are all lost when leadership is', () => {
    const a = server()
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    a.readIndex(1)
    a.input((raft) => {
      raft.readIndex(2)
      raft.readIndex(3)
    })
    a.receive(heartbeat({ from: 'c', term: 3 }))
    expect(a.reads.map(({ id, index }) => [id, index])).toEqual([
      [1, -1],
      [2, -1],
      [3, -1],
    ])
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 2 }))
    expect(a.reads).toHaveLength(3)
  })

  test('a read while leadership is handed over still needs a majority', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').input((raft) => raft.transferLeadership('b'))
    cluster.collect()
    cluster.at('a').readIndex(1)
    expect(cluster.at('a').reads).toEqual([])
    // The heir leads before the heartbeats of the old leader arrive.
    cluster.deliver(ofType('timeout-now'))
    cluster.deliver((message) => from('b')(message) && to('c')(message))
    cluster.deliver((message) => from('c')(message) && to('b')(message))
    expect(cluster.at('b').raft.role).toBe('leader')
    cluster.stabilize()
    expect(cluster.at('a').reads).toEqual([{ id: 1, index: -1 }])
  })

  test('every read is answered, whatever role the node is in and however it changes', () => {
    const a = server()
    a.readIndex(1)
    a.input((raft) => raft.campaign())
    a.readIndex(2)
    a.lead()
    a.readIndex(3)
    a.tick(20)
    a.readIndex(4)
    expect(a.raft.role).not.toBe('leader')
    expect(a.reads.map(({ id }) => id)).toEqual([1, 2, 3, 4])
    expect(a.reads.every(({ index }) => index === -1)).toBe(true)
  })

  test('reads that wait are bounded, and the bound is free again when they are settled', () => {
    const a = server({}, { maxPendingReads: 3 })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    for (let id = 1; id <= 4; id++) a.readIndex(id)
    expect(a.reads).toEqual([{ id: 4, index: -1 }])
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 3 }))
    expect(a.reads).toHaveLength(4)
    for (let id = 5; id <= 7; id++) a.readIndex(id)
    expect(a.reads).toHaveLength(4)
    // Lost with leadership, they leave room for those of the next term.
    a.receive(heartbeat({ from: 'c', term: 3 }))
    a.lead()
    a.receive(accepted({ from: 'b', term: 4, index: 3 }))
    const settled = a.reads.length
    for (let id = 8; id <= 10; id++) a.readIndex(id)
    expect(a.reads).toHaveLength(settled)
    const [refusal] = only(a.receive(readIndex({ from: 'b', term: 4, id: 11 })), 'read-index-reply')
    expect(refusal).toMatchObject({ id: 11, index: -1 })
  })

  test('a single voter never waits for answers that cannot come', () => {
    const members = { ...voters('a', 'l'), voters: ['a'], learners: ['l'] }
    const a = server({ members })
    a.tick(10)
    a.readIndex(1)
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })
})
