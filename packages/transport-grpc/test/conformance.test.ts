import { networkTransportConformance } from '@coracle/raft-core/conformance'
import { certify } from '@coracle/tooling-certificates'
import { existsSync } from 'node:fs'
import { test } from 'vitest'
import { grpcTransport } from '../src/index.ts'
import { vacantAddress, vacantPath } from './nodes.ts'

networkTransportConformance({
  test: (name, body) => test(name, body, 20_000),
  open: grpcTransport,
  vacantAddress,
  vacantPath,
  isThere: existsSync,
  certify,
})
