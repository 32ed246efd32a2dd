/** Accepts TCP connections, and knows those that are open. */
import { createServer, type Server, type Socket } from 'node:net'
import type { Environment } from '@coracle/raft-core'
import { openConnection, type Protocols } from './opening.ts'

export interface Listener {
  /** `host:port`, with the port that was taken. */
  readonly address: string
  /** Accepts no more. Resolves when the last connection has ended. */
  close(): Promise<void>
  /** Ends all connections, whatever is under way on them. */
  destroyConnections(): void
}

/** Listens on `host:port` (`[::1]:0`, `:2379` for all interfaces). Rejects if it cannot. */
export async function listen(
  address: string,
  serve: Protocols,
  environment: Environment,
): Promise<Listener> {
  const { host, port } = parseAddress(address)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    openConnection(socket, serve, environment)
  })
  const taken = await bind(server, host, port)
  return {
    address: `${address.slice(0, address.lastIndexOf(':'))}:${taken}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
    destroyConnections() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

function parseAddress(address: string): { host: string | undefined; port: number } {
  const [, inBrackets, plain, port] =
    /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(address) ?? ([] as string[])
  if (port === undefined || Number(port) > 65_535)
    throw new RangeError(`not an address of the form host:port: ${address}`)
  return { host: inBrackets ?? (plain === '' ? undefined : plain), port: Number(port) }
}

function bind(server: Server, host: string | undefined, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', reject)
      // A connection that cannot be accepted (no file descriptor is free) is its client's loss only.
      server.on('error', () => {})
      const bound = server.address()
      resolve(bound === null || typeof bound === 'string' ? port : bound.port)
    })
  })
}
