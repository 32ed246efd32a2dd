import type { Message } from '@coracle/raft-core'
import { encodeMessage, MESSAGE_VERSION } from '@coracle/raft-core/codec'
import { describe, expect, test } from 'vitest'
import { MAX_VERSION } from '../src/handshake.ts'
import { call, framed, hello, refusals, startNode, until } from './nodes.ts'

const LATER = MAX_VERSION + 1

/** As a later version writes it: with something at the end that this one does not know. */
function fromLater(message: Message): Uint8Array {
  const bytes = new Uint8Array([...encodeMessage(message), 1, 2, 3])
  bytes[0] = MESSAGE_VERSION + 1
  return bytes
}

const beat = (round: number): Message => ({
  type: 'heartbeat',
  from: 'x',
  to: 'b',
  term: 7,
  commitIndex: 3,
  round,
  address: '',
})
const entries: Message = {
  type: 'append-entries',
  from: 'x',
  to: 'b',
  term: 7,
  prevLog: { term: 6, index: 9 },
  entries: [{ index: 10, term: 7, type: 'command', data: new Uint8Array([5]) }],
  commitIndex: 3,
  round: 2,
}

describe('a node of a later version', () => {
  test('is understood as far as this version goes, and what it adds is passed over', async () => {
    const node = await startNode('b')
    const { socket } = call(node.port)
    socket.write(hello({ minVersion: 1, maxVersion: LATER }))
    const unknown = fromLater(beat(1)).with(1, 250)
    for (const payload of [fromLater(beat(1)), unknown, fromLater(entries), unknown])
      socket.write(framed(payload))
    socket.write(framed(encodeMessage(beat(3))))
    await until(() => node.received.length === 3)
    expect(node.received).toEqual([beat(1), entries, beat(3)])
    expect(refusals(node)).toEqual([])
  })

  test('agrees with this one on the highest version that both know', async () => {
    const node = await startNode('b')
    const { socket } = call(node.port)
    const answer = new Promise<Uint8Array>((resolve) => socket.once('data', resolve))
    socket.write(hello({ minVersion: 1, maxVersion: LATER + 5 }))
    // The magic, the frame's header, and then the version.
    expect((await answer)[16]).toBe(MAX_VERSION)
  })
})
