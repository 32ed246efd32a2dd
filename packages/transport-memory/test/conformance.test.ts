import type { Transport } from '@coracle/raft-core'
import { transportConformance } from '@coracle/raft-core/conformance'
import { test } from 'vitest'
import { memoryNetwork } from '../src/index.ts'

transportConformance({
  test: (name, body) => test(name, body, 20_000),
  floodMessages: 2_000,
  open: async () => {
    const network = memoryNetwork({ maxQueuedMessages: 1_500 })
    const addresses = new Map<Transport, string>()
    return {
      transport(id, address = `memory:${id}`) {
        const transport = network.transport(id)
        addresses.set(transport, address)
        return transport
      },
      address: (transport) => addresses.get(transport) ?? '',
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  },
})
