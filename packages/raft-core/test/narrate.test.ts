import { afterEach, describe, expect, it, vi } from 'vitest'
import { consoleTrace, narrate, type RaftEvent } from '../src/index.ts'

const node = { node: 'b', term: 2 }
const position = { term: 2, index: 7 }
const membership = { peers: [], voters: ['a', 'b'], outgoing: [], learners: ['c'], removed: [] }

const LINES: readonly (readonly [RaftEvent, string])[] = [
  [{ ...node, type: 'election-started', preVote: false }, 'b campaigns at term 2'],
  [{ ...node, type: 'role-changed', role: 'leader', leader: 'b' }, 'b became leader at term 2'],
  [{ ...node, type: 'role-changed', role: 'follower', leader: 'a' }, 'b follows a at term 2'],
  [{ ...node, type: 'entries-appended', from: 5, last: position }, 'b appended 5 to 2/7'],
  [{ ...node, type: 'entries-appended', from: 7, last: position }, 'b appended 2/7'],
  [{ ...node, type: 'entries-applied', index: 7 }, 'b applied up to 7'],
  [
    { ...node, type: 'message-sent', to: 'a', message: 'append-entries' },
    'b sent append-entries to a',
  ],
  [{ ...node, type: 'membership-changed', membership }, 'b goes on with a b, learning: c'],
  [{ ...node, type: 'snapshot-taken', position }, 'b took a snapshot up to 2/7'],
  [{ ...node, type: 'node-failed', cause: new Error('disk full') }, 'b stops: Error: disk full'],
]

describe('narrate', () => {
  it.each(LINES)('tells %o', (event, line) => {
    expect(narrate(event)).toBe(line)
  })
})

describe('consoleTrace', () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  afterEach(() => {
    log.mockClear()
  })
  const told = (): readonly unknown[] => log.mock.calls.flat()

  it('tells what is worth a line, and with everything also what each command brings about', () => {
    for (const [event] of LINES) consoleTrace()(event)
    expect(told()).toEqual(
      LINES.map(([, line]) => line).filter((line) => !/appended|applied|sent/.test(line)),
    )
    log.mockClear()
    for (const [event] of LINES) consoleTrace({ everything: true })(event)
    expect(told()).toEqual(LINES.map(([, line]) => line))
  })
})
