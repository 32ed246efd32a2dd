import { library } from '@coracle/tooling-tsup'

export default library({
  index: 'src/index.ts',
  protocol: 'src/protocol/index.ts',
  codec: 'src/codec/index.ts',
  transport: 'src/transport/index.ts',
  conformance: 'src/conformance/index.ts',
})
