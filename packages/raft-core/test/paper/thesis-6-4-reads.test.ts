import { describe, expect, test } from 'vitest'
import { Cluster, ofType, to } from '../support/cluster.ts'
import {
  accepted,
  heartbeat,
  heartbeatReply,
  only,
  readIndex,
  readIndexReply,
  voters,
} from '../support/messages.ts'
import { type Server, server } from '../support/server.ts'

/** The leader of term 2, which has committed its no-op at index 2. */
function leader(options = {}): Server {
  const a = server({}, options)
  a.lead()
  a.receive(accepted({ from: 'b', term: 2, index: 2 }))
  a.takeLeft()
  return a
}

describe('thesis 6.4 read-only queries', () => {
  test('a leader waits until an entry of its own term is committed', () => {
    const a = server({ terms: [1], commit: 1 })
    a.lead()
    a.readIndex(7)
    expect(only(a.takeLeft(), 'heartbeat')).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2 }), heartbeatReply({ from: 'c', term: 2 }))
    expect(a.reads).toEqual([])
    const sent = only(a.receive(accepted({ from: 'b', term: 2, index: 3 })), 'heartbeat')
    a.receive(heartbeatReply({ from: 'b', term: 2, round: sent[0]!.round }))
    expect(a.reads).toEqual([{ id: 7, index: 3 }])
  })

  test('it notes what is committed when the round begins, and answers once a majority has followed', () => {
    const a = leader()
    a.readIndex(7)
    const sent = only(a.takeLeft(), 'heartbeat')
    expect(sent.map((message) => [message.to, message.round])).toEqual([
      ['b', 1],
      ['c', 1],
    ])
    a.propose('x')
    a.receive(accepted({ from: 'c', term: 2, index: 3, round: 0 }))
    expect(a.raft.commitIndex).toBe(3)
    expect(a.reads).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([{ id: 7, index: 2 }])
  })

  test('an answer to an append confirms like an answer to a heartbeat', () => {
    const a = leader()
    a.readIndex(7)
    a.propose('x')
    const [append] = only(a.takeLeft(), 'append-entries')
    expect(append?.round).toBe(1)
    a.receive(accepted({ from: 'b', term: 2, index: 3, round: 1 }))
    expect(a.reads).toEqual([{ id: 7, index: 2 }])
  })

  test('all reads that come before a round share it', () => {
    const a = leader()
    const sent = a.input((raft) => {
      raft.readIndex(1)
      raft.readIndex(2)
      raft.step(readIndex({ from: 'c', term: 2, id: 3 }))
    })
    expect(sent).toBe(undefined)
    expect(only(a.takeLeft(), 'heartbeat')).toHaveLength(2)
    const answered = a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([
      { id: 1, index: 2 },
      { id: 2, index: 2 },
    ])
    expect(only(answered, 'read-index-reply')).toMatchObject([{ to: 'c', id: 3, index: 2 }])
  })

  test('a read that comes after a round began is not confirmed by it', () => {
    const a = leader()
    a.readIndex(1)
    a.readIndex(2)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
    a.receive(heartbeatReply({ from: 'c', term: 2, round: 2 }))
    expect(a.reads).toEqual([
      { id: 1, index: 2 },
      { id: 2, index: 2 },
    ])
  })

  test('a round is lost and the next heartbeat asks again', () => {
    const a = leader()
    a.readIndex(1)
    a.takeLeft()
    const [again] = only(a.tick(), 'heartbeat')
    expect(again?.round).toBe(1)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })

  test('answers of those who do not vote confirm nothing', () => {
    const a = leader()
    a.readIndex(1)
    a.receive(heartbeatReply({ from: 'z', term: 2, round: 1 }))
    expect(a.reads).toEqual([])
  })

  test('an answer to a round that never was confirms nothing', () => {
    const a = leader()
    a.readIndex(1)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 99 }))
    expect(a.reads).toEqual([])
    a.readIndex(2)
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })

  test('a cluster of one needs nobody', () => {
    const a = server({ members: voters('a') })
    a.tick(10)
    a.readIndex(1)
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })

  test('a follower asks the leader, and waits for the index that it is told', () => {
    const a = server({ term: 2 })
    a.receive(heartbeat({ from: 'b', term: 2 }))
    a.readIndex(4)
    expect(a.takeLeft()).toMatchObject([{ type: 'read-index', to: 'b', id: 4 }])
    a.receive(readIndexReply({ from: 'b', term: 2, id: 4, index: 9 }))
    expect(a.reads).toEqual([{ id: 4, index: 9 }])
  })

  test('a server that knows no leader says at once that it cannot tell', () => {
    const a = server()
    a.readIndex(4)
    expect(a.reads).toEqual([{ id: 4, index: -1 }])
    expect(a.receive(readIndex({ from: 'c', term: 1, id: 5 }))).toMatchObject([
      { type: 'read-index-reply', to: 'c', id: 5, index: -1 },
    ])
  })

  test('when leadership ends, every waiting read is told so', () => {
    const a = server({ terms: [1] })
    a.lead()
    a.readIndex(1)
    a.receive(readIndex({ from: 'c', term: 2, id: 2 }))
    const left = a.receive(heartbeat({ from: 'b', term: 3 }))
    expect(a.reads).toEqual([{ id: 1, index: -1 }])
    expect(only(left, 'read-index-reply')).toMatchObject([{ to: 'c', id: 2, index: -1 }])
  })

  test('a leader that was replaced without knowing never answers', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.isolate('a')
    cluster.elect('b')
    cluster.propose('b', 'newer')
    cluster.stabilize()
    cluster.at('a').readIndex(1)
    cluster.tick(8)
    expect(cluster.at('a').reads).toEqual([])
    cluster.heal()
    cluster.tick(2)
    expect(cluster.at('a').reads).toEqual([{ id: 1, index: -1 }])
  })

  test('a read of any server sees everything that was acknowledged before it', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'x')
    cluster.deliver(ofType('append-entries'))
    cluster.deliver((message) => to('a')(message))
    expect(cluster.at('a').state).toEqual(['x'])
    cluster.drop()
    cluster.at('c').readIndex(1)
    cluster.stabilize()
    expect(cluster.at('c').reads).toEqual([{ id: 1, index: cluster.at('a').raft.commitIndex }])
  })
})
