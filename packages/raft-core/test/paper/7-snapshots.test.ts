import { describe, expect, test } from 'vitest'
import { Cluster, ofType, to } from '../support/cluster.ts'
import {
  accepted,
  appendEntries,
  commands,
  heartbeatReply,
  installSnapshot,
  membershipEntry,
  only,
  refused,
  text,
  voters,
} from '../support/messages.ts'
import { server } from '../support/server.ts'

const state = text(JSON.stringify(['from', 'the', 'snapshot']))

describe('§7 log compaction: taking snapshots', () => {
  test('a snapshot says what it covers, the term there, and who took part then', () => {
    const a = server({ terms: [1, 2], commit: 3 })
    expect(a.takeSnapshot()).toEqual({
      position: { term: 2, index: 3 },
      membership: voters('a', 'b', 'c'),
      membershipIndex: 1,
    })
  })

  test('a snapshot never tells of a membership that came after it', () => {
    const a = server({ terms: [1], commit: 2 })
    const later = voters('a', 'b', 'c', 'd')
    a.receive(
      appendEntries({ from: 'b', term: 1, prev: [1, 2], entries: [membershipEntry(3, 1, later)] }),
    )
    expect(a.raft.membership).toEqual(later)
    expect(a.raft.snapshotMeta).toEqual({
      position: { term: 1, index: 2 },
      membership: voters('a', 'b', 'c'),
      membershipIndex: 1,
    })
    a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 3], commit: 3 }))
    expect(a.raft.snapshotMeta).toMatchObject({ membership: later, membershipIndex: 3 })
  })

  test('whoever knows the membership by a snapshot knows where it stands, as all others do', () => {
    const a = server({ terms: [1, 1, 1], commit: 4 })
    a.takeSnapshot()
    a.crash()
    expect([a.raft.membershipIndex, a.raft.snapshotMeta.membershipIndex]).toEqual([1, 1])
    const message = installSnapshot({ from: 'b', term: 1, at: [1, 9], membershipIndex: 7 })
    expect(a.receiveSnapshot(message, state)).toBe(true)
    expect(a.raft.membershipIndex).toBe(7)
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 10 }))
    const change = (expectedIndex: number) =>
      a.input((raft) => raft.changeMembership([{ type: 'remove', id: 'c' }], expectedIndex))
    expect(change(9)).toMatchObject({ refused: 'invalid' })
    expect(change(7)).toEqual({ index: 11 })
  })

  test('the entries that it covers are forgotten, but not how the log goes on from them', () => {
    const a = server({ terms: [1, 2, 2], commit: 4 })
    a.takeSnapshot(1)
    expect(a.raft.firstIndex).toBe(4)
    const [reply] = a.receive(
      appendEntries({ from: 'b', term: 2, prev: [2, 3], entries: commands(4, 2, 2) }),
    )
    expect(reply).toMatchObject({ accepted: true, index: 5 })
  })

  test('nothing is forgotten that was not applied', () => {
    const a = server({ terms: [1, 1, 1], commit: 4 }, { slowMachine: true })
    expect(a.input((raft) => raft.compact(3))).toBe(null)
    a.apply()
    expect(a.input((raft) => raft.compact(9))).toEqual({ term: 1, index: 4 })
  })

  test('a restart begins with the snapshot and replays what came after it', () => {
    const a = server({ terms: [1, 1], commit: 3 })
    a.takeSnapshot()
    a.receive(
      appendEntries({ from: 'b', term: 1, prev: [1, 3], entries: commands(4, 1), commit: 4 }),
    )
    a.slowMachine = true
    a.crash()
    expect(a.raft.membership).toEqual(voters('a', 'b', 'c'))
    expect(a.state).toEqual(['1/2', '1/3'])
    a.apply()
    expect(a.state).toEqual(['1/2', '1/3', '1/4'])
  })
})

describe('§7 InstallSnapshot: the receiver', () => {
  test('replies at once to a term that is over', () => {
    const a = server({ term: 3 })
    const message = installSnapshot({ from: 'b', term: 2, at: [2, 5] })
    expect(a.receive(message)).toMatchObject([{ accepted: false, term: 3 }])
    expect(a.raft.wantsSnapshot(message)).toBe(false)
  })

  test('a snapshot of more than the log here takes the place of the whole log', () => {
    const a = server({ terms: [1, 1] })
    expect(a.receiveSnapshot(installSnapshot({ from: 'b', term: 2, at: [2, 9] }), state)).toBe(true)
    expect([a.raft.firstIndex, a.raft.lastIndex]).toEqual([10, 9])
    expect([a.raft.commitIndex, a.raft.appliedIndex]).toEqual([9, 9])
    expect(a.state).toEqual(['from', 'the', 'snapshot'])
    expect(a.disk.entries).toEqual([])
  })

  test("a log that has the snapshot's last entry keeps it and all that follow", () => {
    const a = server({ terms: [1, 1, 1] })
    a.receiveSnapshot(installSnapshot({ from: 'b', term: 1, at: [1, 3] }), state)
    expect([a.raft.firstIndex, a.raft.lastIndex]).toEqual([1, 4])
    expect(a.raft.commitIndex).toBe(3)
  })

  test('a log that has another entry there is discarded whole, its later entries too', () => {
    const a = server({ terms: [1, 2, 2, 2, 2] })
    a.receiveSnapshot(installSnapshot({ from: 'b', term: 3, at: [3, 4] }), state)
    expect([a.raft.firstIndex, a.raft.lastIndex]).toEqual([5, 4])
    expect(a.raft.termAt(4)).toBe(3)
  })

  test('uses the membership of the snapshot', () => {
    const a = server()
    const membership = voters('a', 'd', 'e')
    a.receiveSnapshot(installSnapshot({ from: 'b', term: 1, at: [1, 9], membership }), state)
    expect(a.raft.membership).toEqual(membership)
    a.crash()
    expect(a.raft.membership).toEqual(membership)
  })

  test('acknowledges it once the log that it replaces is gone from the disk', () => {
    const a = server({ terms: [1, 1] }, { slowDisk: true })
    a.receiveSnapshot(installSnapshot({ from: 'b', term: 1, at: [1, 9] }), state)
    expect(a.takeLeft()).toEqual([])
    expect(a.writing?.reset).toEqual({ term: 1, index: 9 })
    expect(a.persist()).toMatchObject([{ type: 'append-entries-reply', accepted: true, index: 9 }])
  })

  test('goes on with the entries that follow the snapshot', () => {
    const a = server()
    a.receiveSnapshot(installSnapshot({ from: 'b', term: 2, at: [1, 9] }), state)
    const [reply] = a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 9], entries: commands(10, 2), commit: 10 }),
    )
    expect(reply).toMatchObject({ accepted: true, index: 10 })
    expect(a.state).toEqual(['from', 'the', 'snapshot', '2/10'])
  })

  test('a snapshot that covers no more than what is committed here is not wanted', () => {
    const a = server({ terms: [1, 1, 1], commit: 3 })
    const message = installSnapshot({ from: 'b', term: 1, at: [1, 3] })
    expect(a.receiveSnapshot(message, state)).toBe(false)
    expect(a.takeLeft()).toMatchObject([{ accepted: true, index: 3 }])
    expect(a.state).toEqual(['1/2', '1/3'])
  })

  test('a crash between storing the snapshot and resetting the log ends with the snapshot', () => {
    const a = server({ terms: [1, 1] })
    const { meta } = installSnapshot({ from: 'b', term: 2, at: [2, 9] })
    a.disk.snapshot = { meta, bytes: state }
    a.crash()
    expect([a.raft.firstIndex, a.raft.lastIndex, a.raft.commitIndex]).toEqual([10, 9, 9])
    expect(a.state).toEqual(['from', 'the', 'snapshot'])
    expect(a.disk.entries).toEqual([])
  })

  test('a crash between storing the snapshot and the term it came with ends in that term', () => {
    const a = server({ term: 1, votedFor: 'c' })
    const { meta } = installSnapshot({ from: 'b', term: 2, at: [2, 9] })
    a.disk.snapshot = { meta, bytes: state }
    a.crash()
    expect(a.raft.term).toBe(2)
    expect(a.disk.hardState).toMatchObject({ term: 2, votedFor: null })
  })

  test('hears the leader through it', () => {
    const a = server({}, { preVote: false })
    a.tick(9)
    a.receive(installSnapshot({ from: 'b', term: 1, at: [1, 9] }))
    a.tick(9)
    expect(a.raft.role).toBe('follower')
    expect(a.raft.leader).toBe('b')
  })
})

describe('§7 InstallSnapshot: the leader', () => {
  function compacted(options = {}) {
    const a = server({ terms: [1, 1, 1, 1], commit: 5 }, options)
    a.takeSnapshot()
    a.lead()
    return a
  }

  test('sends one when it has discarded the next entry that a follower needs', () => {
    const a = compacted()
    a.receive(refused({ from: 'b', term: 2, index: 5, hint: [1, 2] }))
    expect(a.snapshotsDue).toEqual(['b'])
    expect(a.peer('b').state).toBe('snapshot')
    expect(a.input((raft) => raft.announceSnapshot('b', a.disk.snapshot!.meta))).toMatchObject({
      type: 'install-snapshot',
      to: 'b',
      term: 2,
      meta: { position: { term: 1, index: 5 } },
    })
  })

  test('sends no entries meanwhile, but heartbeats', () => {
    const a = compacted()
    a.receive(refused({ from: 'b', term: 2, index: 5, hint: [1, 2] }))
    a.propose('x')
    expect(a.takeLeft().filter(to('b'))).toEqual([])
    expect(a.tick().filter(to('b'))).toMatchObject([{ type: 'heartbeat' }])
  })

  test('goes on with the entries after it when it has arrived', () => {
    const a = compacted()
    a.receive(refused({ from: 'b', term: 2, index: 5, hint: [1, 2] }))
    a.input((raft) => raft.announceSnapshot('b', a.disk.snapshot!.meta))
    a.takeLeft()
    a.input((raft) => raft.snapshotSent('b', true))
    expect(only(a.takeLeft(), 'append-entries')).toMatchObject([
      { to: 'b', prevLog: { term: 1, index: 5 } },
    ])
  })

  test('its answer is as good as the end of the stream', () => {
    const a = compacted()
    a.receive(refused({ from: 'b', term: 2, index: 5, hint: [1, 2] }))
    a.input((raft) => raft.announceSnapshot('b', a.disk.snapshot!.meta))
    a.receive(accepted({ from: 'b', term: 2, index: 5 }))
    expect(a.peer('b').state).toBe('replicate')
    expect(a.peer('b').matchIndex).toBe(5)
  })

  test('a stream that failed is tried again after the follower was heard again', () => {
    const a = compacted()
    a.receive(refused({ from: 'b', term: 2, index: 5, hint: [1, 2] }))
    a.snapshotsDue = []
    a.input((raft) => raft.announceSnapshot('b', a.disk.snapshot!.meta))
    a.input((raft) => raft.snapshotSent('b', false))
    expect(a.peer('b').state).toBe('probe')
    expect(a.snapshotsDue).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2 }))
    a.tick()
    expect(a.snapshotsDue).toEqual(['b'])
  })

  test('a follower that starts with nothing receives everything that way', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.crash('c')
    cluster.propose('a', 'x', 'y', 'z')
    cluster.stabilize()
    cluster.at('a').takeSnapshot()
    cluster.propose('a', 'later')
    cluster.tick(3)
    cluster.restart('c')
    cluster.tick(3)
    expect(cluster.at('c').state).toEqual(['x', 'y', 'z', 'later'])
    expect(cluster.at('c').disk.snapshot?.meta.position.index).toBe(5)
    expect(cluster.at('a').peer('c').state).toBe('replicate')
    expect(cluster.drop(ofType('append-entries'))).toBe(0)
  })
})
