/** Receiving a snapshot: at the pace of whoever reads the chunks. */
import type { NodeId, TransportHandlers } from '@coracle/raft-core'
import { CodecError, decodeMessage } from '@coracle/raft-core/codec'
import { unseal } from './frame.ts'
import type { SnapshotCall } from './listener.ts'
import { decodeSnapshotFrame } from './snapshot-frames.ts'

/** Hands what arrives by this call to `onSnapshot`, and settles as that does. */
export async function receiveSnapshot(
  call: SnapshotCall,
  ends: { readonly from: NodeId; readonly to: NodeId },
  handlers: TransportHandlers,
): Promise<void> {
  const frames: AsyncIterator<Uint8Array> = call[Symbol.asyncIterator]()
  const opening = await frames.next()
  if (opening.done === true) throw new CodecError('a snapshot has no opening message')
  const message = decodeMessage(unseal(opening.value), ends)
  if (message?.type !== 'install-snapshot')
    throw new CodecError('a snapshot opens with install-snapshot')
  await handlers.onSnapshot(message, chunksOf(frames))
}

/** The bytes up to the end frame; fails if the stream ends without one, or with another total. */
async function* chunksOf(frames: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let received = 0
  for (;;) {
    const next = await frames.next()
    if (next.done === true) throw new Error('the snapshot broke off')
    const frame = decodeSnapshotFrame(next.value)
    if (frame.kind === 'end') {
      if (frame.totalBytes === received) return
      throw new CodecError(`${received} bytes of ${frame.totalBytes} arrived`)
    }
    received += frame.bytes.byteLength
    yield frame.bytes
  }
}
