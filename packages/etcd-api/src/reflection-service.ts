/** grpc.reflection: tools such as grpcurl learn the schema from the server itself. */
import { Code } from '@coracle/grpc-server'
import { answerInOrder } from './answer-in-order.ts'
import type { DuplexCall } from './call.ts'
import type { FileDescriptor } from './descriptors.ts'
import { duplex, type Method } from './method.ts'
import { allMethods, fileDescriptors } from './schema.ts'
import type { ReflectionRequest, ReflectionResponse } from './wire.ts'

type Call = DuplexCall<ReflectionRequest, ReflectionResponse>

export function reflectionService(): Record<string, Method> {
  // Made when somebody asks, which on most servers nobody does.
  let files: readonly FileDescriptor[] | null = null
  return {
    ServerReflectionInfo: duplex((call: Call) => {
      files ??= fileDescriptors()
      const known = files
      answerInOrder(call, async (request) => ({
        valid_host: request.host,
        original_request: request,
        ...answerTo(request, known),
      }))
    }),
  }
}

type Answer = Omit<ReflectionResponse, 'valid_host' | 'original_request'>

function answerTo(request: ReflectionRequest, files: readonly FileDescriptor[]): Answer {
  switch (request.message_request) {
    case 'list_services':
      return { list_services_response: { service: serviceNames().map((name) => ({ name })) } }
    case 'file_by_filename':
      return filesFrom(files, ({ name }) => name === request.file_by_filename)
    case 'file_containing_symbol':
      return filesFrom(files, ({ symbols }) => symbols.includes(request.file_containing_symbol))
    case 'all_extension_numbers_of_type':
    case 'file_containing_extension':
      return refusal(Code.NOT_FOUND, 'there are no extensions')
    case undefined:
  }
  return refusal(Code.INVALID_ARGUMENT, 'nothing was asked')
}

function serviceNames(): readonly string[] {
  return [...new Set(allMethods().map(({ service }) => service))]
}

/** The file, and all that it rests on, so that clients need not ask again. */
function filesFrom(
  files: readonly FileDescriptor[],
  isWanted: (file: FileDescriptor) => boolean,
): Answer {
  const wanted = new Set(files.filter(isWanted))
  if (wanted.size === 0) return refusal(Code.NOT_FOUND, 'there is no such name in the schema')
  // What is added to a set while it is gone through is gone through as well.
  for (const { dependencies } of wanted)
    for (const file of files) if (dependencies.includes(file.name)) wanted.add(file)
  return {
    file_descriptor_response: { file_descriptor_proto: [...wanted].map(({ bytes }) => bytes) },
  }
}

function refusal(code: number, message: string): Answer {
  return { error_response: { error_code: code, error_message: message } }
}
