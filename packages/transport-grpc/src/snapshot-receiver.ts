/** Receiving a snapshot: at the pace of whoever reads the chunks. */
import type { NodeId, OpenSnapshot, TransportHandlers } from '@coracle/raft-core'
import { CodecError, decodeMessage } from '@coracle/raft-core/codec'
import { unseal } from './frame.ts'
import type { SnapshotCall } from './listener.ts'
import { decodeSnapshotFrame, encodeHeld } from './snapshot-frames.ts'

/** Hands what arrives by this call to `onSnapshot`, and settles as that does. */
export async function receiveSnapshot(
  call: SnapshotCall,
  ends: { readonly from: NodeId; readonly to: NodeId },
  handlers: TransportHandlers,
): Promise<void> {
  // A reader that stops early leaves the stream as it is: the answer is still to go back on it.
  const iterable: AsyncIterable<Uint8Array> = call.iterator({ destroyOnReturn: false })
  const frames = iterable[Symbol.asyncIterator]()
  const opening = await frames.next()
  if (opening.done === true) throw new CodecError('a snapshot has no opening message')
  const message = decodeMessage(unseal(opening.value), ends)
  if (message?.type !== 'install-snapshot')
    throw new CodecError('a snapshot opens with install-snapshot')
  let isOpen = false
  const open: OpenSnapshot = async (held) => {
    if (isOpen) throw new TypeError('a snapshot is opened once')
    isOpen = true
    call.write(encodeHeld(held))
    const start = await nextFrame(frames)
    if (start.kind !== 'start') throw new CodecError('a snapshot begins without a beginning')
    return { offset: start.offset, chunks: chunksOf(frames) }
  }
  await handlers.onSnapshot(message, open)
}

/** The bytes up to the end frame; fails if the stream ends without one, or with another total. */
async function* chunksOf(frames: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let received = 0
  for (;;) {
    const frame = await nextFrame(frames)
    if (frame.kind === 'start') throw new CodecError('a snapshot begins twice')
    if (frame.kind === 'end') {
      if (frame.totalBytes === received) return
      throw new CodecError(`${received} bytes of ${frame.totalBytes} arrived`)
    }
    received += frame.bytes.byteLength
    yield frame.bytes
  }
}

async function nextFrame(
  frames: AsyncIterator<Uint8Array>,
): Promise<ReturnType<typeof decodeSnapshotFrame>> {
  const next = await frames.next()
  if (next.done === true) throw new Error('the snapshot broke off')
  return decodeSnapshotFrame(next.value)
}
