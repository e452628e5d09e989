//! A headless Chromium on a test's own machine, spoken to by the DevTools protocol: JSON texts that end in a zero byte, over two pipes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::lab::{LONG, Machine};

/// The shell puts the pipes where Chromium looks for them.
const PIPES: &str = "exec chromium \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    events: VecDeque<Value>,
    session: Option<String>,
    last: u64,
}

impl Browser {
    /// Starts one that is `width` times `height` large.
    #[track_caller]
    pub fn new(machine: &Machine, width: u32, height: u32) -> Self {
        let home = machine.path("browser");
        std::fs::create_dir_all(&home).expect("a home for the browser");
        let mut command = machine.command("sh");
        command
            .args(["-c", PIPES, "chromium", "--headless=new", "--remote-debugging-pipe"])
            // The sandbox needs more than a test's machine has; nothing foreign is opened.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--no-default-browser-check", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", home.display()))
            .arg("about:blank")
            .env("HOME", &home)
            .env("TMPDIR", &home)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("sh");
        let to = child.stdin.take().expect("piped");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, from) = channel();
        // It ends with the browser.
        std::thread::spawn(move || {
            for message in out.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let events = VecDeque::new();
        let mut browser = Self { child, to, from, events, session: None, last: 0 };
        browser.attach(width, height);
        browser
    }

    fn attach(&mut self, width: u32, height: u32) {
        let targets = self.call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().expect("targets").clone();
        let page = targets.iter().find(|target| target["type"] == "page").expect("a page");
        let whole = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", whole);
        self.session = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        self.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        self.theme("light");
    }

    /// The page is so large from now on.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Asks the browser for something.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.ask(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same; the browser may say no.
    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("the browser lives");
        loop {
            let message = self.from.recv_timeout(LONG).expect("the browser answers");
            if message["id"] != self.last {
                self.events.push_back(message);
            } else if let Some(error) = message.get("error") {
                return Err(error.clone());
            } else {
                return Ok(message["result"].clone());
            }
        }
    }

    /// The system prefers this theme from now on.
    pub fn theme(&mut self, theme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    #[track_caller]
    pub fn open(&mut self, address: &str) {
        let opened = self.call("Page.navigate", json!({ "url": address }));
        assert!(opened.get("errorText").is_none(), "{opened}");
    }

    /// The value of an expression on the page.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let told = loop {
            match self.ask("Runtime.evaluate", asked.clone()) {
                Ok(told) => break told,
                // The page that was asked made room for the next one, which has not been asked.
                Err(error) if error["message"] == "Inspected target navigated or closed" => {}
                Err(error) => panic!("{expression}: {error}"),
            }
        };
        assert!(told.get("exceptionDetails").is_none(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    #[track_caller]
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub fn wait(&mut self, expression: &str) {
        let asked = format!(
            "new Promise((done, failed) => {{
                const deadline = performance.now() + {};
                const holds = () => {{
                    try {{
                        return {expression};
                    }} catch {{
                        return false; // What it asks about is not there yet.
                    }}
                }};
                const look = () => {{
                    if (holds()) done(true);
                    else if (performance.now() > deadline) failed(new Error(document.body.innerText));
                    else setTimeout(look, 10);
                }};
                look();
            }})",
            LONG.as_millis() / 2
        );
        self.value(&asked);
    }

    /// Clicks on the middle of the element that a selector finds, as a mouse does.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let selector = Value::from(selector);
        self.wait(&format!("document.querySelector({selector})"));
        let middle = self.value(&format!(
            "(() => {{
                const node = document.querySelector({selector});
                node.scrollIntoView({{ block: 'center' }});
                const box = node.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key that writes `text`, if it writes any.
    pub fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        let event = |kind: &str| json!({ "type": kind, "key": key, "text": text });
        self.call("Input.dispatchKeyEvent", event("keyDown"));
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }));
    }

    /// What the page looks like, as a PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        use std::collections::HashMap;
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let values: HashMap<u8, u32> = digits.iter().copied().zip(0..).collect();
        let text = shot["data"].as_str().expect("base64").trim_end_matches('=');
        let mut bytes = Vec::new();
        let (mut held, mut bits) = (0_u32, 0);
        for value in text.bytes().filter_map(|digit| values.get(&digit)) {
            held = held << 6 | value;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits & 0xff) as u8);
            }
        }
        bytes
    }

    /// Everything of this kind that the browser has told so far.
    pub fn told(&mut self, method: &str) -> Vec<Value> {
        // An answer to another question comes after everything that was told before it.
        self.value("0");
        let told = self.events.iter().filter(|event| event["method"] == method);
        told.map(|event| event["params"].clone()).collect()
    }

    /// What the page complained about.
    pub fn complaints(&mut self) -> Vec<Value> {
        let mut complaints = self.told("Runtime.exceptionThrown");
        let logged = self.told("Log.entryAdded");
        complaints.extend(logged.into_iter().filter(|entry| entry["entry"]["level"] != "info"));
        let said = self.told("Runtime.consoleAPICalled");
        complaints.extend(said.into_iter().filter(|said| said["type"] != "log"));
        complaints
    }

    /// Addresses and headers of all requests.
    pub fn requests(&mut self) -> Vec<(String, Value)> {
        let sent = self.told("Network.requestWillBeSent");
        sent.into_iter()
            .map(|sent| {
                let request = &sent["request"];
                (request["url"].as_str().expect("a URL").to_owned(), request["headers"].clone())
            })
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its pipes' end would end it, too, but later.
        let close = json!({ "id": 0, "method": "Browser.close" }).to_string() + "\0";
        if self.to.write_all(close.as_bytes()).is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
