/** Ports on the loopback: which are free, and which are not. */
import { type AddressInfo, createServer, type Server } from 'node:net'

const LOOPBACK = '127.0.0.1'

/**
 * So many ports that nobody listens on. Somebody may before they are used, so whoever needs to be
 * sure tries again with others.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  // All are held at the same time, so that none is given out twice.
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(close))
  return ports
}

/** The first of these ports that cannot be listened on, or null. */
export async function takenPort(ports: readonly number[]): Promise<number | null> {
  for (const port of ports) {
    try {
      await close(await listen(port))
    } catch {
      return port
    }
  }
  return null
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host: LOOPBACK, port }, () => resolve(server))
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}
