# A small `lib` of our own, with as much of NixOS' module system as our modules use, so that they can be evaluated where
# there is no nixpkgs. What it accepts, nixpkgs accepts; it knows no merge orders, no option declared twice and no warnings.
{ release }:

let
  inherit (builtins) all any attrNames attrValues concatLists concatMap concatStringsSep elem elemAt filter foldl' head
    isAttrs isBool isFloat isFunction isInt isList isPath isString length listToAttrs map mapAttrs match removeAttrs
    replaceStrings split stringLength substring toJSON;

  # Lists, sets and text.
  basics = rec {
    inherit all any attrNames attrValues concatLists concatMap concatStringsSep elem filter head isString length
      listToAttrs map mapAttrs removeAttrs replaceStrings;
    trivial = { inherit release; };
    id = x: x;
    max = a: b: if a > b then a else b;
    optional = condition: x: if condition then [ x ] else [ ];
    optionals = condition: xs: if condition then xs else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    optionalString = condition: text: if condition then text else "";
    findFirst = wanted: default: xs: let found = filter wanted xs; in if found == [ ] then default else head found;
    foldl' = builtins.foldl';
    init = xs: builtins.genList (elemAt xs) (length xs - 1);
    last = xs: elemAt xs (length xs - 1);
    unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    filterAttrs = keep: set: listToAttrs (concatMap (n: optional (keep n set.${n}) (nameValuePair n set.${n})) (attrNames set));
    genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix = suffix: text:
      let cut = stringLength text - stringLength suffix; in
      cut >= 0 && substring cut (-1) text == suffix;
    hasInfix = part: text: length (splitString part text) > 1;
    removePrefix = prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    removeSuffix = suffix: text:
      if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
    splitString = by: text: filter isString (split (escapeRegex by) text);
    escapeRegex = replaceStrings special (map (c: "\\${c}") special);
    special = [ "\\" "." "*" "+" "?" "^" "$" "(" ")" "[" "{" "|" ];
    toLower = replaceStrings (letters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (letters "abcdefghijklmnopqrstuvwxyz");
    letters = text: filter (c: c != "") (map (at: substring at 1 text) (range 0 25));
    range = from: to: if from > to then [ ] else [ from ] ++ range (from + 1) to;
    toIntBase10 = text: builtins.fromJSON (head (match "0*([0-9]+)" text));
    versionAtLeast = a: b: builtins.compareVersions a b >= 0;
    escapeShellArg = text: "'${replaceStrings [ "'" ] [ "'\\''" ] (toString text)}'";
    assertMsg = condition: message: condition || throw message;
    literalExpression = text: { _type = "literalExpression"; inherit text; };
    # Every file that is named has to be there.
    fileset = {
      unions = paths: if all builtins.pathExists paths then paths else throw "a file of the package's source is missing";
      toSource = { root, fileset }: builtins.seq fileset root;
    };
    licenses = { mit = { }; asl20 = { }; };
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
  };
  inherit (basics) filterAttrs genAttrs hasPrefix optional unique;

  # Conditions and priorities.
  properties = rec {
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    mkOverride = priority: content: { _type = "override"; inherit priority content; };
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption = what: mkOption { type = types.bool; default = false; description = "Whether to enable ${what}."; };
  };
  inherit (properties) mkOverride;
  typeOf = x: if isAttrs x then x._type or "" else "";

  # What a definition says of the keys below it: its conditions and priorities moved onto each of them.
  pushDown = definition:
    if typeOf definition == "merge" then concatMap pushDown definition.contents
    else if typeOf definition == "if" then
      map (mapAttrs (_: value: { _type = "if"; inherit (definition) condition; content = value; })) (pushDown definition.content)
    else if typeOf definition == "override" then
      map (mapAttrs (_: mkOverride definition.priority)) (pushDown definition.content)
    else [ definition ];

  # The definitions of one option that hold, each with its priority.
  discharge = priority: definition:
    if typeOf definition == "merge" then concatMap (discharge priority) definition.contents
    else if typeOf definition == "if" then if definition.condition then discharge priority definition.content else [ ]
    else if typeOf definition == "override" then discharge definition.priority definition.content
    else [{ inherit priority; value = definition; }];

  show = concatStringsSep ".";
  mergeDefinitions = path: type: definitions:
    let
      holding = concatMap (discharge 100) definitions;
      strongest = foldl' (least: d: if d.priority < least then d.priority else least) 10000 holding;
      values = map (d: d.value) (filter (d: d.priority == strongest) holding);
      wrong = filter (value: !type.check value) values;
    in
    {
      isDefined = holding != [ ];
      count = length values;
      value =
        if wrong != [ ] then
          throw "A definition for option `${show path}' is not of type `${type.description}'. Definition values: ${pretty (head wrong)}"
        else type.merge path values;
    };
  pretty = value:
    if isPath value then toString value
    else if isAttrs value || isFunction value then "<a set or function>"
    else if isList value then "[ ${concatStringsSep " " (map pretty value)} ]"
    else toJSON value;

  equal = path: values:
    if all (value: value == head values) (builtins.tail values) then head values
    else throw "The option `${show path}' has conflicting definition values: ${concatStringsSep " " (map pretty values)}";

  mkType = description: check: { inherit description check; merge = equal; };
  types = rec {
    bool = mkType "boolean" isBool;
    str = mkType "string" isString;
    int = mkType "signed integer" isInt;
    float = mkType "floating point number" isFloat;
    port = mkType "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (x: isInt x && x >= 0 && x < 65536);
    ints.positive = mkType "positive integer, meaning >0" (x: isInt x && x > 0);
    package = mkType "package" (x: isAttrs x && x ? outPath);
    path = mkType "absolute path" (x: (isString x || isPath x || isAttrs x && x ? outPath) && hasPrefix "/" (toString x));
    strMatching = pattern: mkType "string matching the pattern ${pattern}" (x: isString x && match pattern x != null);
    enum = values: mkType "one of ${toJSON values}" (x: elem x values);
    raw = mkType "raw value" (_: true);
    # Lists are joined, sets merged, anything else has to agree.
    lines = mkType "strings concatenated with \"\\n\"" isString // { merge = _: concatStringsSep "\n"; };
    anything = mkType "anything" (_: true) // {
      merge = path: values:
        if all isAttrs values && !any (value: value ? outPath) values then (attrsOf anything).merge path values
        else if all isList values then concatLists values
        else equal path values;
    };
    nullOr = type: {
      description = "null or ${type.description}";
      check = x: x == null || type.check x;
      merge = path: values: if all (value: value == null) values then null else type.merge path values;
    };
    oneOf = choices: {
      description = concatStringsSep " or " (map (type: type.description) choices);
      check = x: any (type: type.check x) choices;
      merge = path: values:
        let fitting = filter (type: all type.check values) choices; in
        if fitting == [ ] then equal path values else (head fitting).merge path values;
    };
    addCheck = type: check: type // { check = x: type.check x && check x; };
    listOf = type: mkType "list of ${type.description}" isList // {
      merge = path: values:
        map (m: m.value) (filter (m: m.isDefined) (map (x: mergeDefinitions (path ++ [ "*" ]) type [ x ]) (concatLists values)));
    };
    attrsOf = type: mkType "attribute set of ${type.description}" isAttrs // {
      merge = path: values:
        let
          sets = concatMap pushDown values;
          merged = genAttrs (unique (concatMap attrNames sets))
            (name: mergeDefinitions (path ++ [ name ]) type (concatMap (set: optional (set ? ${name}) set.${name}) sets));
        in
        mapAttrs (_: m: m.value) (filterAttrs (_: m: m.isDefined) merged);
    };
    submodule = modules: mkType "submodule" (x: isAttrs x || isFunction x || isPath x) // {
      merge = path: values: (evalModules {
        inherit path;
        modules = (if isList modules then modules else [ modules ]) ++ map (value: { config = value; }) values;
        specialArgs.name = basics.last path;
      }).config;
    };
  };

  # Modules.
  evalModules = { modules, specialArgs ? { }, path ? [ ] }:
    let
      arguments = { lib = self; config = configured; options = declared; } // specialArgs;
      load = module:
        let
          body = if isPath module || isString module then import module else module;
          applied = if isFunction body then body arguments else body;
          isLong = applied ? config || applied ? options || applied ? imports || applied ? freeformType;
        in
        [{
          key = if isPath module || isString module then toString module else null;
          options = applied.options or { };
          freeform = optional (applied ? freeformType) applied.freeformType;
          config = if isLong then applied.config or { } else applied;
        }] ++ concatMap load (applied.imports or [ ]);
      # A file that is imported twice is one module.
      loaded = foldl' (seen: m: if m.key != null && any (s: s.key == m.key) seen then seen else seen ++ [ m ]) [ ]
        (concatMap load modules);

      freeform = concatMap (m: m.freeform) loaded;
      declared = foldl' joinOptions { } (map (m: m.options) loaded);
      definitions = map (m: m.config) loaded;
      configured = below path declared definitions freeform;
      unknown = unknownBelow path declared definitions;
    in
    {
      options = declared;
      config =
        if freeform == [ ] && unknown != [ ] then throw "The option `${show (head unknown)}' does not exist."
        else configured;
    };

  joinOptions = a: b: a // mapAttrs
    (name: option:
      if !(a ? ${name}) then option
      else if typeOf option == "option" || typeOf a.${name} == "option" then throw "The option ${name} is declared twice."
      else joinOptions a.${name} option)
    b;

  below = path: options: definitions: freeform:
    let
      sets = concatMap pushDown definitions;
      of = name: concatMap (set: optional (set ? ${name}) set.${name}) sets;
      free = filterAttrs (name: _: !(options ? ${name})) ((head freeform).merge path sets);
    in
    mapAttrs
      (name: option:
        if typeOf option == "option" then value (path ++ [ name ]) option (of name)
        else below (path ++ [ name ]) option (of name) [ ])
      options
    // (if freeform == [ ] then { } else free);

  value = path: option: definitions:
    let
      type = option.type or types.raw;
      merged = mergeDefinitions path type definitions;
      readOnly = option.readOnly or false;
    in
    if readOnly && merged.isDefined && (option ? default || merged.count > 1) then
      throw "The option `${show path}' is read-only, but it's set multiple times."
    else if merged.isDefined then merged.value
    else if option ? default then (mergeDefinitions path type [ option.default ]).value
    else throw "The option `${show path}' was accessed but has no value defined. Try setting the option.";

  unknownBelow = path: options: definitions:
    let
      sets = concatMap pushDown definitions;
      names = unique (concatMap attrNames sets);
      of = name: concatMap (set: optional (set ? ${name}) set.${name}) sets;
    in
    concatMap
      (name:
        if !(options ? ${name}) then [ (path ++ [ name ]) ]
        else if typeOf options.${name} == "option" then [ ]
        else unknownBelow (path ++ [ name ]) options.${name} (of name))
      names;

  self = basics // properties // { inherit types evalModules; };
in
self
