/** Sockets in the file system that this member is to listen on: what a dead process left is in the way. */
import { lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import type { ServerConfig } from './config.ts'

/** A path that this member cannot listen on. The message is a sentence that names it. */
export class SocketError extends Error {
  override readonly name = 'SocketError'
}

type Listening = Pick<
  ServerConfig,
  'listenClients' | 'listenHttp' | 'listenMetrics' | 'listenPeers'
>

/**
 * Removes the sockets at which nobody answers. etcd removes whatever it finds; but a socket at which
 * another process serves would be lost to its clients, and a file to its owner.
 */
export async function clearSockets(config: Listening): Promise<void> {
  const { listenClients, listenHttp, listenMetrics, listenPeers } = config
  for (const place of [...listenPeers, ...listenClients, ...listenHttp, ...listenMetrics])
    if ('path' in place) await clearSocket(place.path)
}

async function clearSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return null
    throw new SocketError(`socket ${path} cannot be used: ${String(error)}`, { cause: error })
  })
  if (found === null) return
  if (!found.isSocket())
    throw new SocketError(`socket ${path} cannot be made: there is something else at this path`)
  if (await isServed(path))
    throw new SocketError(`socket ${path} is taken: another program listens there`)
  await unlink(path).catch((cause: unknown) => {
    if (hasCode(cause, 'ENOENT')) return
    throw new SocketError(
      `socket ${path} was left behind and cannot be removed: ${String(cause)}`,
      {
        cause,
      },
    )
  })
}

/** Only a refusal says that nobody is there: one that is too busy to answer still is. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => resolve(!hasCode(error, 'ECONNREFUSED')))
  })
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
