// The wire of generateContent, after the public reference of v1beta: what Gemini says of a request
// that it would not take, and whole responses as it gives them.

type Fields = Record<string, unknown>;
type Fault = { status: number; error: Fields };

const names = (text: string) => text.trim().split(/\s+/);

const topLevel =
  names(`model contents systemInstruction generationConfig safetySettings tools toolConfig
  cachedContent serviceTier store`);
const generation = names(`stopSequences responseMimeType responseSchema _responseJsonSchema
  responseJsonSchema responseModalities candidateCount maxOutputTokens temperature topP topK seed
  presencePenalty frequencyPenalty responseLogprobs logprobs enableEnhancedCivicAnswers speechConfig
  thinkingConfig imageConfig mediaResolution`);
const thinking = names("includeThoughts thinkingBudget thinkingLevel");
const part = names(`text thought thoughtSignature inlineData fileData functionCall functionResponse
  executableCode codeExecutionResult videoMetadata partMetadata mediaResolution`);
const schemaKeys = names(`type format title description nullable enum items minItems maxItems
  properties required minProperties maxProperties propertyOrdering minLength maxLength pattern minimum
  maximum anyOf example default`);
const schemaTypes = names("object array string number integer boolean null");
/** Which of them belong to which types alone. */
const belongs: Record<string, string[]> = {
  enum: ["string"],
  minLength: ["string"],
  maxLength: ["string"],
  pattern: ["string"],
  minimum: ["number", "integer"],
  maximum: ["number", "integer"],
  items: ["array"],
  minItems: ["array"],
  maxItems: ["array"],
  properties: ["object"],
  required: ["object"],
  propertyOrdering: ["object"],
  minProperties: ["object"],
  maxProperties: ["object"],
};
const formats: Record<string, string[]> = {
  string: ["enum", "date-time"],
  number: ["float", "double"],
  integer: ["int32", "int64"],
};
const categories = names(`HARM_CATEGORY_HARASSMENT HARM_CATEGORY_HATE_SPEECH
  HARM_CATEGORY_SEXUALLY_EXPLICIT HARM_CATEGORY_DANGEROUS_CONTENT HARM_CATEGORY_CIVIC_INTEGRITY`);
const thresholds = names(
  "BLOCK_LOW_AND_ABOVE BLOCK_MEDIUM_AND_ABOVE BLOCK_ONLY_HIGH BLOCK_NONE OFF",
);
const mostTokens = 65_536;
const mostBytes = 20_971_520;

/** A refusal of a request, with the field that it is about, as google.rpc has it. */
function invalid(message: string, field?: string): Fault {
  const badRequest = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    fieldViolations: [{ field, description: message }],
  };
  return {
    status: 400,
    error: {
      message,
      status: "INVALID_ARGUMENT",
      ...(field === undefined ? {} : { details: [badRequest] }),
    },
  };
}

/** Names are taken in both spellings, maxOutputTokens and max_output_tokens. */
const camel = (name: string) =>
  name.replaceAll(/(?<=[a-z])_([a-z])/g, (_, letter) => letter.toUpperCase());
const spelt = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [camel(name), value]));
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function unknownName(fields: Fields, known: string[], at: string): Fault | null {
  const name = Object.keys(fields).find((one) => !known.includes(camel(one)));
  return name === undefined
    ? null
    : invalid(
        `Invalid JSON payload received. Unknown name "${name}"${at && ` at '${at}'`}: Cannot find field.`,
        at,
      );
}

function contentFault(content: unknown, at: string, roles: string[]): Fault | null {
  if (!isFields(content)) return invalid(`Invalid value at '${at}'`, at);
  if (content["role"] !== undefined && !roles.includes(String(content["role"]))) {
    return invalid("Please use a valid role: user, model.");
  }
  const parts = content["parts"];
  if (!Array.isArray(parts) || parts.length === 0) {
    return invalid(`* GenerateContentRequest.${at}.parts: contents.parts must not be empty.`);
  }
  for (const [i, one] of parts.entries()) {
    if (!isFields(one)) return invalid(`Invalid value at '${at}.parts[${i}]'`, at);
    const fault = unknownName(one, part, `${at}.parts[${i}]`);
    if (fault) return fault;
    if (one["text"] !== undefined && typeof one["text"] !== "string") {
      return invalid(`Invalid value at '${at}.parts[${i}].text' (TYPE_STRING)`, at);
    }
    if (Object.keys(one).length === 0) {
      return invalid(
        `* ${at}.parts[${i}].data: required oneof field 'data' must have one initialized field`,
      );
    }
  }
  return null;
}

function schemaFault(schema: unknown, at: string): Fault | null {
  if (!isFields(schema))
    return invalid(`Invalid value at '${at}' (type.googleapis.com/Schema)`, at);
  const node = spelt(schema);
  const wrong = unknownName(schema, schemaKeys, at);
  if (wrong) return wrong;
  const empty = Object.keys(node).find((key) => node[key] === null);
  if (empty) return invalid(`Invalid value at '${at}.${empty}', null`, at);
  if (Array.isArray(node["anyOf"])) {
    const other = Object.keys(node).find(
      (key) => !/^(anyOf|nullable|title|description)$/.test(key),
    );
    if (other) return invalid(`* ${at}: when using any_of, it must be the only field set`);
    for (const [i, one] of node["anyOf"].entries()) {
      const fault = schemaFault(one, `${at}.any_of[${i}]`);
      if (fault) return fault;
    }
    return null;
  }
  const type = String(node["type"]).toLowerCase();
  if (!schemaTypes.includes(type)) {
    return invalid(`Invalid value at '${at}.type', "${node["type"]}"`, at);
  }
  for (const [key, value] of Object.entries(node)) {
    if (belongs[key] && !belongs[key].includes(type)) {
      return invalid(
        `* ${at}.${key}: only allowed for ${belongs[key].join(", ").toUpperCase()} type`,
      );
    }
    if (/^(min|max)/.test(key) && !/^-?\d+(\.\d+)?$/.test(String(value))) {
      return invalid(`Invalid value at '${at}.${key}', "${value}"`, at);
    }
  }
  if (node["format"] && formats[type] && !formats[type].includes(String(node["format"]))) {
    return invalid(
      `* ${at}.format: only ${formats[type]} are supported for ${type.toUpperCase()} type`,
    );
  }
  for (const [i, one] of ((node["enum"] ?? []) as unknown[]).entries()) {
    if (typeof one !== "string") return invalid(`Invalid value at '${at}.enum[${i}]', ${one}`, at);
    if (one === "") return invalid(`* ${at}.enum[${i}]: cannot be empty`);
  }
  if (type === "array") {
    return node["items"] === undefined
      ? invalid(`* ${at}.items: missing field.`)
      : schemaFault(node["items"], `${at}.items`);
  }
  if (type !== "object") return null;
  const properties = (node["properties"] ?? {}) as Fields;
  if (Object.keys(properties).length === 0) {
    return invalid(`* ${at}.properties: should be non-empty for OBJECT type`);
  }
  for (const list of ["required", "propertyOrdering"]) {
    const unknown = ((node[list] ?? []) as string[]).find((name) => !(name in properties));
    if (unknown) return invalid(`* ${at}.${list}[0]: property is not defined`);
  }
  for (const [name, child] of Object.entries(properties)) {
    const fault = schemaFault(child, `${at}.properties[${name}]`);
    if (fault) return fault;
  }
  return null;
}

/**
 * 2.5 has a budget for its thoughts, 3 and later a level or one; from 3.7 on not the least level.
 */
function thinkingFault(model: string, config: Fields): Fault | null {
  const at = "generation_config.thinking_config";
  const fault = unknownName(config, thinking, at);
  if (fault) return fault;
  const { thinkingBudget: budget, thinkingLevel: level } = spelt(config);
  const generation = Number(/gemini-(\d+(?:\.\d+)?)/.exec(model)?.[1] ?? 3);
  if (budget !== undefined && level !== undefined) {
    return invalid("You can only set only one of thinking budget and thinking level.");
  }
  if (level !== undefined && generation < 3) {
    return invalid("Thinking level is not supported for this model.");
  }
  if (level !== undefined && !/^(minimal|low|medium|high)$/i.test(String(level))) {
    return invalid(`Invalid value at '${at}.thinking_level', "${level}"`, at);
  }
  if (/^minimal$/i.test(String(level)) && generation >= 3.7) {
    return invalid("Thinking level MINIMAL is not supported for this model.");
  }
  if (budget !== undefined && !(Number(budget) >= -1 && Number(budget) <= 32_768)) {
    return invalid(
      `The thinking budget ${budget} is invalid. Please choose a value between 0 and 32768.`,
    );
  }
  return null;
}

function generationFault(model: string, config: Fields): Fault | null {
  const at = "generation_config";
  const fault = unknownName(config, generation, at);
  if (fault) return fault;
  const set = spelt(config);
  const outside = (name: string, least: number, most: number) =>
    set[name] !== undefined && !(Number(set[name]) >= least && Number(set[name]) <= most);
  if (outside("maxOutputTokens", 1, mostTokens)) {
    return invalid(
      `Unable to submit request because it has a maxOutputTokens value of ${set["maxOutputTokens"]} but the supported range is from 1 (inclusive) to ${mostTokens + 1} (exclusive). Update the value and try again.`,
    );
  }
  for (const [name, least, most] of [
    ["temperature", 0, 2],
    ["topP", 0, 1],
    ["topK", 1, 1000],
    ["candidateCount", 1, 8],
    ["seed", -2_147_483_648, 2_147_483_647],
  ] as const) {
    if (outside(name, least, most)) {
      return invalid(
        `* GenerateContentRequest.generation_config.${name}: must be in the range [${least}, ${most}]`,
      );
    }
  }
  for (const name of ["maxOutputTokens", "topK", "candidateCount", "seed"]) {
    if (set[name] !== undefined && !Number.isInteger(Number(set[name]))) {
      return invalid(`Invalid value at '${at}.${name}' (TYPE_INT32), ${set[name]}`, at);
    }
  }
  const stops = set["stopSequences"];
  if (stops !== undefined && !(Array.isArray(stops) && stops.length <= 5)) {
    return invalid(`* ${at}.stop_sequences: at most 5 are allowed`);
  }
  const mimeType = set["responseMimeType"];
  if (
    mimeType !== undefined &&
    !/^(text\/plain|application\/json|text\/x.enum)$/.test(String(mimeType))
  ) {
    return invalid(
      `* ${at}.response_mime_type: allowed mimetypes are text/plain, application/json, ...`,
    );
  }
  const schema = set["responseSchema"];
  const other = set["responseJsonSchema"] ?? set["_responseJsonSchema"];
  if (schema !== undefined && other !== undefined) {
    return invalid("Only one of response_schema and response_json_schema may be set.");
  }
  if (
    (schema ?? other) !== undefined &&
    !/^(application\/json|text\/x.enum)$/.test(String(set["responseMimeType"]))
  ) {
    return invalid(
      "Function calling with a response mime type: 'text/plain' is unsupported: response_schema needs 'application/json'",
    );
  }
  return (
    (schema === undefined ? null : schemaFault(schema, `${at}.response_schema`)) ??
    (isFields(set["thinkingConfig"]) ? thinkingFault(model, set["thinkingConfig"]) : null)
  );
}

/** What Gemini would say of a request to this model, or null where it would take it. */
export function faultOf(body: unknown, model = "gemini-3.5-flash-lite", bytes = 0): Fault | null {
  if (bytes > mostBytes) {
    return invalid(`Request payload size exceeds the limit: ${mostBytes} bytes.`);
  }
  if (!isFields(body)) return invalid("Invalid JSON payload received.");
  const fault = unknownName(body, topLevel, "");
  if (fault) return fault;
  const { contents, systemInstruction, generationConfig, safetySettings } = spelt(body);
  if (!Array.isArray(contents) || contents.length === 0) {
    return invalid("* GenerateContentRequest.contents: contents is not specified");
  }
  for (const [i, content] of contents.entries()) {
    const wrong = contentFault(content, `contents[${i}]`, ["user", "model", "function"]);
    if (wrong) return wrong;
  }
  if (systemInstruction !== undefined) {
    const wrong = contentFault(systemInstruction, "system_instruction", [
      "system",
      "user",
      "model",
    ]);
    if (wrong) return wrong;
  }
  const { cachedContent, serviceTier } = spelt(body);
  if (cachedContent !== undefined && systemInstruction !== undefined) {
    return invalid(
      "CachedContent can not be used with GenerateContent request setting system_instruction",
    );
  }
  if (serviceTier !== undefined && !/^(standard|flex|priority)$/i.test(String(serviceTier))) {
    return invalid(`Invalid value at 'service_tier', "${serviceTier}"`, "service_tier");
  }
  if (safetySettings !== undefined && !Array.isArray(safetySettings)) {
    return invalid("Invalid value at 'safety_settings'", "safety_settings");
  }
  if (generationConfig !== undefined && !isFields(generationConfig)) {
    return invalid("Invalid value at 'generation_config'", "generation_config");
  }
  for (const [i, setting] of ((safetySettings ?? []) as Fields[]).entries()) {
    const { category, threshold } = isFields(setting) ? setting : {};
    if (!categories.includes(String(category)) || !thresholds.includes(String(threshold))) {
      return invalid(
        `Invalid value at 'safety_settings[${i}]', "${category}, ${threshold}"`,
        "safety_settings",
      );
    }
  }
  return isFields(generationConfig) ? generationFault(model, generationConfig) : null;
}

const text = (tokenCount: number) => [{ modality: "TEXT", tokenCount }];

/** A whole response: an answer as Gemini gives one, with its thoughts and what it has taken. */
export function responseOf(answer: {
  model: string;
  text: string;
  thought?: string | undefined;
  finishReason?: string | undefined;
  promptTokens: number;
  answerTokens: number;
  usage?: unknown;
}): Fields {
  const { promptTokens, answerTokens } = answer;
  const thoughts = answer.thought === undefined ? 0 : Math.ceil(answer.thought.length / 4);
  const signature = { thoughtSignature: Buffer.from(answer.model).toString("base64") };
  return {
    candidates: [
      {
        content: {
          parts: [
            ...(answer.thought ? [{ text: answer.thought, thought: true }] : []),
            { text: answer.text, ...(answer.thought ? signature : {}) },
          ],
          role: "model",
        },
        finishReason: answer.finishReason ?? "STOP",
        index: 0,
        safetyRatings: categories
          .slice(0, 4)
          .map((category) => ({ category, probability: "NEGLIGIBLE" })),
        avgLogprobs: -0.0123,
      },
    ],
    usageMetadata: answer.usage ?? {
      promptTokenCount: promptTokens,
      candidatesTokenCount: answerTokens,
      totalTokenCount: promptTokens + answerTokens + thoughts,
      promptTokensDetails: text(promptTokens),
      candidatesTokensDetails: text(answerTokens),
      ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
      serviceTier: "standard",
    },
    modelVersion: answer.model,
    responseId: "mYkLaZ6sHfWgkdUP4_rVsAQ",
  };
}
