import { describe, expect, test } from 'vitest'
import { Cluster } from '../support/cluster.ts'
import {
  accepted,
  appendEntries,
  commands,
  heartbeat,
  installSnapshot,
  only,
  refused,
  text,
  voters,
} from '../support/messages.ts'
import { diskWith, Server, server } from '../support/server.ts'

describe('committing (§5.3, §5.4.2)', () => {
  test('a single voter commits nothing of an earlier term before an entry of its own', () => {
    const a = server({ members: voters('a'), terms: [1, 1] }, { slowDisk: true })
    a.tick(10)
    a.persist()
    expect(a.raft.role).toBe('leader')
    expect(a.raft.commitIndex).toBe(1)
    a.persist()
    expect(a.raft.commitIndex).toBe(4)
  })

  test('a refusal teaches the leader where to ask next, never what matches', () => {
    const a = server({ terms: [1, 1, 1, 1] })
    a.lead()
    a.receive(refused({ from: 'b', term: 2, index: 5, hint: [1, 4] }))
    expect(a.peer('b').matchIndex).toBe(0)
    expect(a.raft.commitIndex).toBe(1)
  })

  test('a follower acknowledges what the message said, not all that it has', () => {
    const a = server({ term: 3, terms: [1, 2, 2, 2] })
    const [reply] = a.receive(appendEntries({ from: 'b', term: 3, prev: [1, 2], entries: [] }))
    expect(reply).toMatchObject({ accepted: true, index: 2 })
  })

  test('a write that a newer leader overtook makes nothing durable that is there no longer', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2, 2) }))
    expect(a.writing?.entries).toHaveLength(2)
    a.receive(
      appendEntries({ from: 'c', term: 3, prev: [1, 1], entries: commands(2, 3, 3), commit: 3 }),
    )
    a.persist()
    expect(a.raft.commitIndex).toBe(3)
    expect(a.state).toEqual([])
    a.persist()
    expect(a.state).toEqual(['3/2', '3/3'])
  })

  test('nor does one that a snapshot overtook, although it reaches further', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2, 2, 2) }))
    expect(a.writing?.entries).toHaveLength(3)
    // The log conflicts with the snapshot at its last entry, and goes with all that it was to hold.
    a.receiveSnapshot(installSnapshot({ from: 'c', term: 3, at: [3, 3] }), text('[]'))
    const next = appendEntries({ from: 'c', term: 3, prev: [3, 3], entries: commands(4, 3) })
    a.receive(next)
    expect([a.raft.durableIndex, a.raft.lastIndex]).toEqual([3, 4])
    // The leader that is no more is told of it; nothing that it could still commit by that.
    expect(a.persist()).toMatchObject([{ to: 'b', term: 2 }])
    expect(a.raft.durableIndex).toBe(3)
    expect(a.persist()).toMatchObject([{ to: 'c', index: 4 }])
    expect(a.raft.durableIndex).toBe(4)
  })

  test('what is being written is acknowledged after the write, however often it arrives', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    const append = appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2) })
    expect(a.receive(append)).toEqual([])
    expect(a.receive(append)).toEqual([])
    expect(a.persist()).toMatchObject([{ index: 2 }, { index: 2 }])
  })

  test('answers that wait for one write reach everybody they are for', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2) }))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [2, 2], entries: commands(3, 2) }))
    a.receive(appendEntries({ from: 'c', term: 3, prev: [2, 3], entries: commands(4, 3) }))
    a.persist()
    expect(a.persist()).toMatchObject([
      { to: 'b', term: 2, index: 3 },
      { to: 'c', term: 3, index: 4 },
    ])
  })

  test('the same index, overwritten and written again, is durable only by its last write', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    const first = appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2) })
    a.receive(first)
    a.receive(appendEntries({ from: 'c', term: 3, prev: [1, 1], entries: commands(2, 3) }))
    a.receive(
      appendEntries({ from: 'b', term: 4, prev: [1, 1], entries: commands(2, 2), commit: 2 }),
    )
    a.persist()
    expect(a.state).toEqual([])
    a.persist()
    expect(a.state).toEqual(['2/2'])
    expect(a.disk.entries.map(({ term }) => term)).toEqual([1, 2])
  })

  test('an own write of an earlier term of leadership counts for nothing in the next', () => {
    const a = server()
    a.lead()
    a.slowDisk = true
    a.propose('x')
    a.receive(appendEntries({ from: 'c', term: 3, prev: [1, 1], entries: commands(2, 3) }))
    a.persist()
    expect(a.raft.role).toBe('follower')
    expect(a.raft.commitIndex).toBe(1)
    expect(a.terms).toEqual([1, 3])
  })

  test('the no-op of a new leader counts only when it is durable', () => {
    const a = server({}, { slowDisk: true, preVote: false })
    a.tick(10)
    a.persist()
    a.receive({ type: 'request-vote-reply', from: 'b', to: 'a', term: 2, granted: true })
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    expect(a.raft.commitIndex).toBe(1)
    a.persist()
    expect(a.raft.commitIndex).toBe(2)
  })

  test('an acknowledgement of entries that were never sent is not believed', () => {
    const a = server()
    a.lead()
    a.receive(
      accepted({ from: 'b', term: 2, index: 99 }),
      accepted({ from: 'c', term: 2, index: 99 }),
    )
    expect(a.raft.commitIndex).toBe(1)
    expect(a.ignored).toEqual(['no such entry was sent', 'no such entry was sent'])
  })

  test('what was acknowledged stays so, whatever late answers say', () => {
    const a = server({ terms: [1, 1, 1] })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 5 }))
    a.receive(
      accepted({ from: 'b', term: 2, index: 2 }),
      refused({ from: 'b', term: 2, index: 3, hint: [1, 1] }),
    )
    expect(a.peer('b')).toMatchObject({ state: 'replicate', matchIndex: 5 })
    expect(a.ignored).toEqual(['the refusal is late'])
  })
})

describe('appending (§5.3)', () => {
  test('a late and shorter message takes nothing away', () => {
    const a = server({ term: 2 })
    a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2, 2, 2), commit: 4 }),
    )
    a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2), commit: 2 }),
    )
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1] }))
    expect(a.terms).toEqual([1, 2, 2, 2])
    expect(a.disk.entries).toHaveLength(4)
  })

  test('an entry that conflicts goes, with all that follow, and only then', () => {
    const a = server({ term: 2, terms: [2, 2, 2] })
    a.receive(appendEntries({ from: 'b', term: 3, prev: [1, 1], entries: commands(2, 2, 3) }))
    expect(a.terms).toEqual([1, 2, 3])
  })

  test('a committed entry is never truncated, whatever a leader sends', () => {
    const a = server({ term: 2, terms: [2, 2], commit: 3 })
    // Whatever it says of what is committed here is known to match: nothing happens to the log.
    const [reply] = a.receive(
      appendEntries({ from: 'b', term: 3, prev: [1, 1], entries: commands(2, 3) }),
    )
    expect(a.terms).toEqual([1, 2, 2])
    expect(reply).toMatchObject({ accepted: true, index: 3 })
  })

  test('an empty append commits no tail that it did not vouch for', () => {
    const a = server({ term: 2, terms: [2, 2, 2] })
    a.receive(appendEntries({ from: 'b', term: 3, prev: [2, 2], commit: 4 }))
    expect(a.raft.commitIndex).toBe(2)
  })

  test('a heartbeat tells a follower to commit no more than it is known to hold', () => {
    const a = server({ terms: [1, 1] })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 4 }))
    expect(a.raft.commitIndex).toBe(4)
    const sent = only(a.tick(), 'heartbeat')
    expect(sent.map(({ to, commitIndex }) => [to, commitIndex])).toEqual([
      ['b', 4],
      ['c', 0],
    ])
  })

  test('a message from before the snapshot here matches, and wipes nothing', () => {
    const a = server({ terms: [1, 1, 1], commit: 4 })
    a.takeSnapshot()
    const [reply] = a.receive(
      appendEntries({ from: 'b', term: 1, prev: [1, 2], entries: commands(3, 1, 1, 1) }),
    )
    expect(reply).toMatchObject({ accepted: true, index: 5 })
    expect([a.raft.firstIndex, a.raft.lastIndex]).toEqual([5, 5])
    const [empty] = a.receive(appendEntries({ from: 'b', term: 1, prev: [0, 0] }))
    expect(empty).toMatchObject({ accepted: true, index: 4 })
  })

  test('a paused follower behind a compaction is sent no message that says nothing', () => {
    const a = server({ terms: [1, 1, 1], commit: 4 })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 5 }))
    a.takeSnapshot()
    a.takeLeft()
    // c was never heard of: its probe starts before what the log still knows.
    expect(only(a.tick(), 'append-entries').filter(({ to }) => to === 'c')).toEqual([])
    a.receive(refused({ from: 'c', term: 2, index: 4, hint: [1, 1] }))
    expect(a.snapshotsDue).toEqual(['c'])
    const append = appendEntries({ from: 'b', term: 3, prev: [0, 0], commit: 0 })
    expect(() => a.receive(append)).not.toThrow()
  })

  test('a hint from before the log begins leads to a snapshot, not out of the table', () => {
    const a = server({ terms: [1, 1, 1], commit: 4 })
    a.takeSnapshot()
    a.lead()
    a.receive(refused({ from: 'b', term: 2, index: 4, hint: [0, 0] }))
    expect(a.peer('b').state).toBe('snapshot')
  })

  test('a log that was purged whole asks nothing, but sends its snapshot', () => {
    const a = server({ terms: [1, 1, 1], commit: 4 })
    a.takeSnapshot()
    a.lead()
    a.receive(refused({ from: 'b', term: 2, index: 4, hint: [1, 3] }))
    expect(a.snapshotsDue).toEqual(['b'])
  })

  test('entries that cannot be read become no message', () => {
    const a = server({ terms: [1, 1, 1] }, { slowReads: true })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 1 }))
    expect(a.fetches).toHaveLength(1)
    a.takeLeft()
    a.answerFetch(null)
    expect(only(a.takeLeft(), 'append-entries')).toEqual([])
  })

  test('entries that arrive from the disk after the leader was replaced go nowhere', () => {
    const a = server({ terms: [1, 1, 1] }, { slowReads: true })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 1 }))
    a.receive(heartbeat({ from: 'c', term: 3 }))
    a.lead()
    a.takeLeft()
    a.answerFetch()
    expect(only(a.takeLeft(), 'append-entries')).toEqual([])
  })

  test('a follower that lost what it had acknowledged says so and stops', () => {
    const a = server({ term: 2 })
    expect(() => a.receive(heartbeat({ from: 'b', term: 2, commit: 7 }))).toThrow(
      'the leader counts on entries that this node no longer has: its data was lost',
    )
  })

  test('a node whose log ends before what it had committed does not start', () => {
    const disk = diskWith({ term: 2, commit: 9 })
    expect(() => new Server({ disk })).toThrow('entries were lost')
  })

  test('a node whose log begins after its snapshot does not start', () => {
    const disk = diskWith({ terms: [1, 1], commit: 3 })
    disk.compact({ term: 1, index: 2 })
    expect(() => new Server({ disk })).toThrow('a snapshot was lost')
  })
})

describe('snapshots (§7)', () => {
  const bytes = text(JSON.stringify(['s']))

  test('a second snapshot that comes while the first is being stored changes nothing twice', () => {
    const a = server()
    const first = installSnapshot({ from: 'b', term: 1, at: [1, 5] })
    const second = installSnapshot({ from: 'b', term: 1, at: [1, 9] })
    a.receive(first, second)
    expect([a.raft.wantsSnapshot(first), a.raft.wantsSnapshot(second)]).toEqual([true, true])
    a.receiveSnapshot(second, bytes)
    expect(a.input((raft) => raft.installSnapshot(first))).toBe(false)
    expect([a.raft.firstIndex, a.raft.commitIndex]).toEqual([10, 9])
  })

  test('a snapshot that arrives under a newer leader is kept, and acknowledged to nobody', () => {
    const a = server()
    const message = installSnapshot({ from: 'b', term: 1, at: [1, 5] })
    a.receive(message)
    a.receive(heartbeat({ from: 'c', term: 2 }))
    a.disk.snapshot = { meta: message.meta, bytes }
    a.input((raft) => {
      expect(raft.installSnapshot(message)).toBe(true)
      raft.applied(5)
    })
    expect(only(a.takeLeft(), 'append-entries-reply')).toEqual([])
    expect(a.raft.commitIndex).toBe(5)
  })

  test('the log is kept from the snapshot on while that is on its way to somebody', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.crash('c')
    cluster.propose('a', '1', '2', '3')
    cluster.stabilize()
    cluster.at('a').takeSnapshot()
    cluster.restart('c')
    for (let i = 0; i < 8 && cluster.streams.length === 0; i++) {
      cluster.at('a').input((raft) => raft.tick())
      cluster.deliver()
      cluster.deliver()
    }
    expect(cluster.streams).toHaveLength(1)
    cluster.propose('a', '4', '5')
    for (let i = 0; i < 3; i++) cluster.deliver()
    cluster.at('a').takeSnapshot()
    expect(cluster.at('a').raft.firstIndex).toBe(6)
    cluster.stabilize()
    expect(cluster.at('c').state).toEqual(['1', '2', '3', '4', '5'])
    expect(cluster.at('a').peer('c').state).toBe('replicate')
  })
})
