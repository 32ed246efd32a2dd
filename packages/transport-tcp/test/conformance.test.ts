import type { Transport } from '@coracle/raft-core'
import { transportConformance } from '@coracle/raft-core/conformance'
import { test } from 'vitest'
import { type TcpTransport, tcpTransport } from '../src/index.ts'
import { placeAt, vacantAddress } from './nodes.ts'

transportConformance({
  test: (name, body) => test(name, body, 20_000),
  floodMessages: 600,
  vacantAddress,
  open: async () => {
    const transports = new Map<Transport, TcpTransport>()
    return {
      transport(id, address = '127.0.0.1:0') {
        const listen = address.split(',').map(placeAt)
        const transport = tcpTransport({ id, cluster: 'test', listen, maxQueuedBytes: 32 << 20 })
        transports.set(transport, transport)
        return transport
      },
      address: (transport) => transports.get(transport)?.address() ?? '',
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  },
})
