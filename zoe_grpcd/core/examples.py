"""Requests that are typical of each intent: what the embeddings compare a message with, and what keywords are tuned on.

The model knows English alone, so other languages have none: `core.language` sees them. The rule: none of these is among
the prompts that measure (`tests/data/intents`), and none is there to make one of those come out
right.
"""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    intent: tuple(line.strip() for line in lines.strip().splitlines())
    for intent, lines in {
        "action": """
            Put dentist on my calendar for Thursday at 4pm
            wake me at half past six tomorrow
            set a timer for 12 minutes
            turn the hallway lights off
            could you dim the lamp in the living room
            play some miles davis
            skip this track
            lock the front door
            Cancel my seven o'clock alarm
            order two large pizzas from luigi's
            call grandma
            text joe that i am running late
            send an email to the landlord about the broken boiler
            what's on my calendar for monday
            do i have any alarms set
            make the bedroom a bit warmer
            set the thermostat to 20 degrees
            start the robot vacuum
            brew me a coffee
            volume up
            lights out in the kitchen
            i need a taxi to the airport at five
            get me an uber to the office
            pause the podcast
            shuffle my workout playlist
            resume the audiobook where i left off
            change the light colour to blue
            raise the blinds please
            Please create a new list called camping gear
            remove eggs from the shopping list
            move my meeting with Ana to 3 pm
            schedule a call with the design team next Tuesday
            postpone tomorrow's standup by thirty minutes
            post on twitter that the game was great
            pay my electricity bill
            report my card as stolen
            roll two dice
            make a reservation for two at the steakhouse under the name miller
            stop the music
            Hey Zoe, switch on the fan
            ok computer close the garage
            Can you add a note that the meter reading is 4711?
            set up a meeting with Paul for 9 in the morning
            snooze
            next song please
            read my new emails
            show me my shopping list
            rename the list groceries to food
            open the curtains at sunrise every day
            find my phone
            save this song to my favourites
            add bob's number to my contacts
            clear my schedule for friday afternoon
            let's play a game of trivia
            it's movie time, dim everything to ten percent
            vacuum the living room
            tell alexa to stop
            create a reminder for taking out the trash every monday night
            olly set brightness to low
            i want some jazz in the background
            put on channel five
            give this song a thumbs up
            order more paper towels
            can you get me tickets for the hamilton show
            change my pin number
            set my status to away
            block off two hours on wednesday for writing
            i need a timer for the pasta, eleven minutes
            want the blinds halfway down
            could somebody get the living room a bit cooler
            milk needs to go on the grocery list
            the dentist on friday has to be cancelled
            please take batteries off my list
            wake me at quarter past six
            alarm six thirty weekdays
            drop the volume two notches
            make it dimmer in here
            get rid of the three o'clock meeting
            put on some mellow jazz
            play the next episode of that history podcast
            i'd like to hear the new album by the band from Leeds
            skip this one
            start the audiobook where i left off
            have the robot clean the hallway
            brew me a cup of coffee
            switch the porch light to blue
            open the garage
            lock up the house
            what's on for me this thursday
            do i have anything scheduled after lunch
            read me my reminders
            which alarms are active
            show my shopping list
            is there cheese on my list
            find me a cheap room near the station for two nights
            i have to be in oslo by friday, get me a flight
            grab me a cab to the airport
            order two large pizzas with olives
            reserve a table for six at the greek place on saturday
            i want to rent a van for the weekend
            text my wife that the train is late
            phone the vet
            shoot an email to the team about the move
            reply to hannah that noon works
            post on facebook that we are back
            pay the water bill
            move two hundred from checking into savings
            put a freeze on my bank card
            i lost my card, order a new one
            report a stolen wallet
            ask for tuesday off at work
            schedule an oil change for next week
            locate my phone
            make my phone ring
            share where i am with my brother
            flip a coin
            pair with the kitchen speaker
            stop using whisper mode
            talk a bit slower please
            from now on call me chief
            change your name to robin
            speak to me in a british accent
            set your language to german
            go back to the factory defaults
            let's play tic tac toe
            rate the current track four stars
            save this song to favourites
            tune in to radio four
            remove everything from the to-do list
            create a list called camping gear
            add mona to my contacts
            did any new mail come in from the school
            mute
            louder
            turn it off
            restart the router at midnight
            use my points for the hotel
            set off the sprinklers at dawn
            notify me when the parcel ships
            how long is left on my timer
            when is my next appointment
            what time did i set the alarm for""",
        "memory": """
            What do you remember about me?
            what did I tell you about my allergies
            do you remember my sister's name
            who is Emily
            what did we talk about yesterday
            have I ever told you about my trip to Peru
            remember that my locker code is 3391
            what was the name of that restaurant we liked
            Where did I put the spare keys?
            Forget what I said about Tom
            what have I asked you today
            Who is my doctor?
            What was my previous job again?
            did I mention my flight number
            which medication did I say I take
            what was I working on last Friday
            Do you recall the name of my first pet?
            how long ago did I start learning guitar
            what did Anna say about the party
            Please remember I prefer tea over coffee
            when is Grandpa's birthday
            where did i say i left the spare key
            what was the name of the hotel we talked about
            do you recall what i ordered last week
            what's my sister's phone number again
            remember that my locker code is on the fridge
            what did you tell me yesterday about the boiler
            who is julia again
            what have we discussed so far
            when did i last water the plants
            what's my favourite colour, do you know
            which restaurant did i like so much in may
            what do you know about my work
            have i told you about the accident
            what is my name""",
        "code": """
            Implement quicksort in Rust
            Write a function to find the longest common prefix of a list of strings.
            Why do I get a NullPointerException when calling getName()?
            write a sql query that returns the top 5 customers by revenue
            how to center a div in css
            Regex to match an email address
            Create a React component for a login form
            unit test for the function above please
            What is the difference between let and var in JavaScript?
            TypeError: unsupported operand type(s) for +: 'int' and 'str'
            Refactor this class so it follows SOLID principles
            Write a bash script that renames all .jpeg files to .jpg
            from typing import List def below_zero(operations: List[int]) -> bool: ''' Detect whether a balance ever drops below zero. '''
            Write a function that takes a string and returns the number of vowels in it.
            my docker container exits immediately, how do I debug it
            Explain what this code does: x = [i**2 for i in range(10) if i % 2]
            Generate a Dockerfile for a Flask app
            How do I sort an array of objects by a property value?
            Write an algorithm to detect a cycle in a directed graph
            what's the time complexity of binary search
            Optimise this SQL: SELECT * FROM orders WHERE YEAR(created) = 2020
            Can you debug this for me? segmentation fault (core dumped)
            Add type hints to the function below
            how do I kill a process listening on port 8080 in linux
            make a simple html page with a button that changes the background colour
            Write a program that prints the first 100 prime numbers
            How do I pass environment variables to docker compose?
            Write a class to represent a bank account with deposit and withdraw methods
            How to convert a string to an integer in Java
            Write a python function to check whether the given number is a palindrome
            Given an array of integers, return indices of the two numbers that add up to a target.
            How do I exit vim
            Write a cron expression for every weekday at 9
            How do I remove duplicates from a list while keeping order?
            why is my css flexbox not wrapping
            Write a method in C# to validate a phone number
            how to revert a merge in git
            npm install fails with ERESOLVE unable to resolve dependency tree
            Write a decorator that caches the results of a function
            Port this Perl script to Python
            kubectl get pods shows CrashLoopBackOff, what now
            What's the difference between a process and a thread in operating systems programming?
            write a recursive function for the fibonacci sequence
            Set up a virtual environment and install requests with pip, what are the commands
            how do i schedule a job with celery
            Help me understand this stack trace: Traceback (most recent call last): File "a.py", line 3, in <module>
            import numpy as np a = np.zeros((3,3)) how do I set the diagonal to 1?
            write code that downloads an image from a URL
            write a function to find the second largest element of a list
            write a python function to remove duplicates from a tuple
            implement a stack with push and pop
            given a string s, return the longest substring without repeating characters
            create a loop that prints every even number up to 50
            write a sql statement that counts the orders of each customer
            build a rest api endpoint with flask
            design a css rule that centers a div
            generate an html form with two inputs and a button
            construct a regex that matches dates
            what is the output of this snippet? x = [1, 2]; print(x * 2)
            find the maximum of the following array. arr = [3, 9, 2]
            rewrite this for loop as a list comprehension
            how would you swap two variables without a third one in java
            how can i split a column into two in pandas
            how do i undo the last commit but keep the changes
            why am i getting a null pointer exception here
            why is my react component rendering twice
            what is the difference between a class and an interface in java
            explain recursion with an example in code
            what does the static keyword do
            convert this json to a dataclass
            optimize this query, it takes ten seconds
            add error handling to the function below
            write unit tests for the parser
            debug my dockerfile, the build fails on the copy step
            how to read a file line by line in bash
            kubernetes pod stuck in pending state, what now
            which sorting algorithm is stable
            explain the concept of polymorphism in object oriented programming
            set up a github action that runs pytest
            def fib(n): # return the nth fibonacci number
            write a script that renames all files in a folder
            create a class for bank accounts with deposit and withdraw methods
            how do i center a picture with flexbox
            parse a csv with quoted fields in go
            compute the dot product of two vectors in numpy""",
        "rag": """
            According to the report, how many units were sold?
            Based on the passage, who discovered the island?
            In the attached contract, what is the notice period?
            Answer the question using the context below. Context: The bridge opened in 1932. Question: When did the bridge open?
            Given this paragraph about the Amazon, how long is the river? The Amazon river is about 6,400 km long and lies in South America.
            Where in the document is the warranty mentioned?
            does the policy cover water damage according to the terms
            From the article, what was the author's opinion of the film?
            Read the passage and answer: why did the king leave?
            Per the handbook, how many vacation days do I get?
            Context: Paris hosted the games in 1924. When did Paris host the games?
            Search the knowledge base for the onboarding steps
            Look in the PDF and tell me the total amount
            answer from the provided context only
            What do my notes say about the experiment?
            quote the paragraph where the deadline is given
            Use the following pieces of context to answer the question at the end.
            According to the text, where was she born?
            according to the text below, when was the bridge built?
            based on the passage, why did the king leave?
            given the paragraph, answer the question: who designed the tower?
            use the reference text to tell me where the festival takes place
            from the article, what were the results of the study?
            context: the museum opened in 1901. question: when did it open?
            read the passage and answer the questions that follow
            what does clause nine of the agreement allow?
            look in the manual: how do i reset the pump?
            what does our handbook say about overtime
            passage: the lynx lives in forests. what does the lynx eat, according to it?
            using only the information provided, who is responsible for repairs?
            in the attached report, which region grew the most?
            answer from the documents only: what is the notice period?
            does the policy cover water damage?""",
        "summarize": """
            Give me the key points of this report
            What are the main takeaways from this paper?
            Write a summary of the passage below.
            Provide a brief summary of the plot of Moby Dick
            Give me the gist of this
            Recap the conversation so far
            Please produce an executive summary of the attached report
            Summarise: Wolves were reintroduced to the park in 1995 and elk numbers fell as a result.
            What is the main idea of this paragraph? Bees communicate by dancing. The angle of the dance shows the direction of food.
            Make a bullet point summary of the lecture transcript
            I don't have time to read all of this, just give me the highlights
            Create an abstract for this text
            Read this and give me a short version
            Summarize this dialogue. Amy: Are you coming? Bill: No, I have to add the new items to the list. Amy: ok
            TLDR
            Could you give me a quick rundown of this document?
            Outline the main points of the speech
            The minutes are pasted below. Please pull together a short summary for the board.
            Summarize what happened in the last chapter
            Abridge this text to around 100 words
            Generate a headline that sums up this article
            Using the text below, summarize who won the race
            summary please
            give me cliff notes on this
            give me the gist of this article
            condense the following email to one line
            what are the main takeaways from the talk?
            summarize the plot in two sentences
            tldr of the thread
            write a short summary of the passage below
            shorten this paragraph
            boil the report down to three bullets
            recap our meeting
            what is the main point of the text?
            abstract of the paper in plain words
            please provide a brief overview of the following story
            highlight the key points of the discussion""",
        "translate": """
            Translate this to French: I would like a glass of water
            translate "add bread to my list" into German
            What is the Spanish word for butterfly?
            Translate the following sentence into English: Ich habe keine Zeit
            how would i ask for the bill if i were in spain
            Give me the Dutch translation of 'bicycle path'
            can you translate hello to korean
            English to Russian: see you tomorrow
            Render this paragraph in modern Greek
            How do I say "I am lost" in Arabic?
            convert this text from english to hindi
            what is dog in french
            tell me how to say good luck in polish
            Provide a Swedish translation for the sentence below
            what does arigato mean in english
            i need this in spanish: please wait outside
            Übersetze diesen Satz ins Englische
            What is the Turkish phrase for excuse me
            translate my last message
            in vietnamese, how do you say delicious
            how do you say good morning in portuguese
            what is the french word for butterfly
            translate the following sentence to german: the train is late
            how would an italian say goodbye
            say thank you in japanese
            what would i say to order a beer in prague
            render this into plain english from dutch: goede reis
            give me the spanish for screwdriver
            what does gesundheit mean
            english to polish: where is the station
            how might i greet somebody if i were in athens""",
        "creative": """
            Write a short story about a lighthouse keeper
            compose a haiku about autumn rain
            Let's role play: you're the innkeeper and I'm a weary traveller
            Draft a blog post on the joys of slow travel
            write a limerick about a cat named bob
            Imagine you're an astronaut stranded on Mars and write a diary entry
            Write a love letter from a robot to a toaster
            Brainstorm ideas for a children's birthday party theme
            Write a poem
            compose a catchy jingle for toothpaste
            Write a product description for a solar lantern
            Draft a polite email asking my professor for an extension
            Act as a grumpy wizard who hates visitors
            Rewrite this sentence in the style of Shakespeare: I am hungry.
            Generate a tagline for a running shoe
            Can you write a rap about homework?
            Write a fairy tale set in modern Tokyo
            Suggest a title for my memoir about sailing
            Write a persuasive speech on saving the bees
            Give me three opening lines for a noir thriller
            Think of a clever pun about bread
            Script a thirty second radio ad for a plumber
            Write a short screenplay about a time traveling barista.
            Paint me a picture in words of an abandoned theme park
            Suppose you are Elon Musk giving a graduation speech
            Write a tweet about Monday mornings
            Write an alternate ending to Romeo and Juliet
            Write a horror story in two sentences
            Design a fantasy world with three kingdoms and their customs
            generate some creative instagram captions for my beach photos
            Make this paragraph sound more poetic
            write a blog post about a weekend in lisbon
            draft a professional email asking for feedback on the quarterly report
            compose a limerick about a lazy dog
            give me a catchy headline for an article about bees
            rewrite this sentence in a more formal tone: we can't come
            rephrase the following paragraph so that it sounds friendlier
            make this text more persuasive
            paraphrase: the early bird catches the worm
            brainstorm ten ideas for a school project
            come up with a name for a dog walking business
            generate a tagline for a solar company
            create a dialogue between the moon and the sea
            describe a market at dawn with all five senses
            write a product description for a wool blanket
            write a cover letter for a junior chef
            write a conversation between two rival chess players
            imagine you are a medieval innkeeper and greet me
            take on the persona of a grumpy wizard
            you are a motivational coach. give me a pep talk
            act as a travel guide and suggest sights
            finish the story: the door opened and
            expand this outline into an essay
            write the opening scene of a thriller
            make up a legend about the northern lights
            think of a metaphor for patience
            write a sentence that uses the words river, lamp and sorrow
            compose a tweet announcing our new menu
            reply politely to the invitation below and decline
            write song lyrics about leaving home
            tell a story about a fox who could not lie
            write a two minute wedding toast for my sister
            create an advertisement for a bakery
            write a persuasive essay on school uniforms
            plan a surprise party theme for a ten year old
            invent a new flavour of ice cream and describe it
            write a knock knock joke""",
        "reasoning": """
            A train leaves at 3 pm going 60 km/h and another leaves at 4 pm going 80 km/h. When do they meet?
            What is 17 * 23?
            Solve for x: 3x + 7 = 22
            Compare buying and leasing a car and tell me which is better for someone who drives 30,000 km a year
            Find the derivative of x^2 sin(x)
            What is the probability of rolling two sixes in a row?
            A farmer has 17 sheep. All but 9 die. How many are left?
            If it takes 5 machines 5 minutes to make 5 widgets, how long would it take 100 machines to make 100 widgets?
            what comes next in the sequence 2, 6, 12, 20, 30
            Evaluate the integral of 1/(1+x^2) from 0 to 1
            Which is the better choice for a small bakery, a loan or an investor? Weigh the pros and cons.
            How many positive integers less than 100 are divisible by 3 or 5?
            Simplify (a^2 - b^2)/(a - b)
            Solve this riddle: I speak without a mouth and hear without ears. What am I?
            Determine whether the series sum 1/n^2 converges
            convert 98.6 fahrenheit to celsius
            what is 12 divided by 0.25
            Let f(x) = 2x - 5. What is f(f(3))?
            Mike is twice as old as his sister. In 6 years their ages will sum to 48. How old is Mike?
            A tank fills in 6 hours and drains in 9. With both open, how long until it is full?
            There are 5 houses in a row, each a different colour. The Brit lives in the red house. Who owns the fish?
            Factor x^2 - 5x + 6
            how many minutes are there in three and a half days
            Every week Ken saves 8 dollars from his allowance and spends 3 on candy. After 10 weeks he buys a game for 35 dollars. How much is left?
            Ben ran 4 miles on Monday, half as many on Tuesday and three times as many on Wednesday as on Tuesday. How many miles did he run altogether?
            What are the trade-offs between renting and owning, and which would you choose on a salary of 50k?
            If A implies B and B implies C, does not C imply not A?
            A rectangle's length is 3 cm more than its width and its perimeter is 26 cm. Find its dimensions.
            work out the compound interest on 1000 at 5% for 3 years
            You have 8 balls, one is heavier. How do you find it with two weighings on a balance scale?
            what's 20% tip on 86 dollars
            Find all real solutions of |x - 3| = 7
            how many cups are in 3 gallons
            The price of gas went from 3.20 to 3.84. By what percentage did it rise?
            Sally has three brothers. Each brother has two sisters. How many sisters does Sally have?
            a farmer has 17 sheep and all but 9 run away. how many are left?
            tina earns $18 an hour and works 8 hours a day. how much does she make in 5 days?
            what is 15% of 260
            compute 34 times 17
            convert 5 feet to centimeters
            how many ounces are in three cups
            solve for x: 4x - 7 = 21
            find the derivative of x^3 + 2x
            evaluate the integral of sin x from 0 to pi
            what is the remainder when 7^100 is divided by 5?
            find the smallest positive integer that is divisible by 6 and 15
            two dice are thrown. what is the probability that the sum is 8?
            a train leaves at 9 and travels at 60 km/h; another leaves at 10 at 80 km/h. when do they meet?
            all roses are flowers. some flowers fade quickly. does it follow that some roses fade quickly?
            anna is older than ben, ben is older than carl. who is the youngest?
            you are running a race and overtake the person in second place. where are you now?
            if you face north and turn right twice, which way do you look?
            which of the statements must be true? explain your reasoning
            complete the sequence: 2, 6, 12, 20, ...
            doctor is to hospital as teacher is to what?
            is the following argument valid? if it rains the street is wet. the street is wet. so it rained.
            today is march 3rd. what is the date ten days from now?
            sort the following words alphabetically: pear, fig, apple
            is the expression not ( true and false ) or false true?
            i have three apples, two pears and a plum. how many fruits do i have?
            rank the planets by their mass
            compare the two phone plans and tell me which is cheaper for 300 minutes
            should we rent or buy, given a budget of 1500 a month?
            let f be defined by f(x) = 2x for x < 3. what is f(2)?
            prove that the square root of 2 is irrational
            how much is 40 euros in dollars at 1.1
            three friends split a bill of 87 dollars with an 18% tip. what does each one pay?""",
        "explain": """
            explain machine learning
            What is photosynthesis?
            Why is the sky blue?
            what is a calendar
            Describe how vaccines train the immune system
            What's the difference between weather and climate?
            how do airplanes stay in the air
            What is the capital of Australia?
            define entropy
            How is cheese made?
            What were the main causes of World War I?
            why did the Roman Empire fall
            give me an overview of the theory of relativity
            How do I get red wine out of a carpet?
            Explain the rules of cricket
            who invented the telephone
            what is the meaning of the word ubiquitous
            How does compound interest work?
            What happens when you mix bleach and ammonia?
            What is GDP and how is it measured?
            teach me about stoicism
            How do vaccines differ from antibiotics?
            how tall is mount everest
            Why are flamingos pink
            What is the story behind the Trojan horse?
            how do you make sourdough bread
            What is a black swan event in economics?
            Explain the concept of supply and demand with an example
            what is an alarm clock
            How do people set up a company in Delaware?
            What are the benefits of meditation?
            Explain why bread rises
            what is deep learning used for
            How does DNA replication occur?
            tell me how tides work
            What is the significance of the Magna Carta?
            what is the largest planet in the solar system
            What are some side effects of aspirin?
            How do you change a flat tire?
            who was the first woman in space
            when did the berlin wall come down
            what is the capital of peru
            how tall is mount kenya
            where does cork come from
            name three causes of the great depression
            how many calories are in a slice of rye bread
            what goes into a good ramen broth
            give me a recipe for lentil soup
            how do you change the oil in a car
            how do i get rid of moths
            steps to descale a kettle
            what does obsolete mean
            define gregarious
            meaning of the word candour
            tell me what photosynthesis is
            i'd like to know how vaccines are tested
            what are the health benefits of swimming
            describe the life cycle of a frog
            discuss the main reasons why rome declined
            compare renewable and fossil energy sources in a short overview
            how did the industrial revolution change family life?
            what are some ways to reduce stress?
            list five interesting facts about owls
            give an overview of the dutch political system
            what are the advantages and disadvantages of remote work?
            explain to a child why the sea is salty
            how can companies lower their carbon emissions?
            what is quantum tunnelling and where is it used
            what laws protect tenants in germany
            why do cats purr
            why is inflation bad for savers
            how old is the universe
            which country has the most islands
            what is the price of gold made of
            how much water should a person drink per day
            who founded the red cross
            what is the difference between a crocodile and an alligator
            explain supply and demand
            how does a heat pump work
            what should i do to prepare for a job interview?
            what to pack for a trip to iceland
            suggest exercises for a stiff back""",
        "classification": """
            Classify this review as positive or negative: the food was cold and the waiter rude
            Categorize these items as fruit or vegetable: carrot, apple, leek
            Which category does this ticket belong to: billing, technical or account?
            Tag the following headline with a topic
            Extract all the person names from this text: Maria met Jonas in Rome.
            Determine the tone of the message: formal, neutral or angry
            List the named entities in the paragraph below
            Pull out the invoice number and total from this text: Invoice 2231, total 400 EUR
            Which of these are string instruments: cello, drum, harp, flute
            Is the following comment toxic? Answer with one word.
            Classify the intent of this utterance
            Extract the dates and locations mentioned in the article as JSON
            Sort these animals into predators and prey
            Does this review express a positive, negative or neutral opinion?
            Detect the language of this sentence
            Identify the part of speech of each word in: the quick fox jumps
            Decide if the two sentences are paraphrases. Answer duplicate or different.
            Which one is a type of fish? Salmon or Salon
            Pick the right label for this document: contract, invoice, letter
            Tell me which of the following are countries and which are cities: Paris, Chad, Lima
            Find all the email addresses in this text
            Premise: A man plays guitar. Hypothesis: A person makes music. Entailment, contradiction or neutral?
            Given the text, list every product mentioned along with its price
            Categorise the support request by urgency: low, medium, high
            classify: my card was charged twice
            Is this sentence grammatically acceptable? Answer acceptable or unacceptable.
            Identify the subject and the verb of this sentence
            Return the phone numbers in the message below
            Group the following words into colours and shapes: red, circle, blue, square
            Is it a country or a river: Niger
            Given these categories - sports, politics, tech - which fits the headline "Team wins final"?
            Extract the key fields (name, date, amount) from the receipt
            classify each item as fruit or vegetable: carrot, plum, leek
            label the tweet as positive, negative or neutral
            is the following review positive or negative? the soup was cold
            decide whether the two sentences mean the same. answer yes or no
            does the premise entail the hypothesis? premise: a man sleeps. hypothesis: nobody is awake
            tell me if this comment is toxic
            which of these are mammals: whale, shark, bat, eagle
            identify the instrument as string or percussion: viola, bongo
            assign one of these topics to the article: sports, politics, science
            detect the language of the sentence
            predict the rating, 1 to 5, from the review
            what is the sentiment of this headline
            find all the person names in the paragraph below
            extract the dates and places from the text as json
            pull the phone number out of this message
            list every company mentioned in the following article
            output the part of speech of each word
            is the sentence grammatically correct? he go to school
            given a sentence, output 1 if it is sarcastic and 0 otherwise
            choose the odd one out: table, chair, apple, desk
            sort these expenses into categories: rent, taxi, cinema
            what intent does the user have? utterance: where is my parcel
            fact or opinion: the sky is beautiful
            is it a verb or a noun: run
            tag the named entities in the sentence
            evaluate the following reviews on a scale from 1 to 5 and return a list
            identify which animal is alive or extinct: dodo, tapir
            spam or not spam: you have won a prize
            given the records below, extract the highest value of each month
            count how often each word appears in the passage
            fill in the blank with the right word
            is the statement true or false: the earth has two moons""",
        "status": """
            is the service up
            Are you there?
            is the server running
            what's the status of the backup job
            yes or no: is the build finished
            health check
            are all systems operational
            Answer yes or no: is water wet?
            is gpu 2 still busy
            is everything ok with the cluster
            Are you online
            is the website reachable
            is it working
            are the models loaded
            just yes or no, did the deploy succeed
            system status please
            how is the server doing
            test
            are you awake
            show uptime
            has the update finished
            Is Jenkins responding?
            is the vpn connected
            is the printer online
            are all the servers up
            has the backup finished
            status
            is the model loaded yet
            is jenkins down again
            did the upload complete
            are you still there
            ping
            is everything running
            does the website respond
            has the nightly job failed
            is the queue empty, yes or no
            how is the cluster doing""",
        "chat": """
            good morning zoe
            what's your name
            are you a real person
            I had such a rough day at work
            thanks, that was really helpful
            tell me a joke
            what do you think about pineapple on pizza?
            how old are you
            what's your favourite colour
            I'm bored
            I'm feeling a bit down today
            can we talk for a while
            you're funny
            do you ever sleep
            lol that's hilarious
            nice to meet you
            what are you up to
            My cat did the silliest thing this morning.
            ok cool
            that is not what i meant
            what should i cook tonight
            I can't believe it's already December
            have a great weekend
            sorry about that
            you are the best
            what's the weather like tomorrow
            will it rain this afternoon
            what time is it in tokyo
            any good news today
            what's up
            Give me some advice on making friends in a new city
            i'm so tired i could sleep for a week
            what did the ocean say to the beach
            do you get tired of answering questions
            recommend me a good movie for tonight
            where are you from
            i miss my family
            any plans for the weekend?
            I think I'm going to adopt a puppy, what do you reckon
            do you have any siblings
            are we friends
            what language do you speak
            how far is the nearest gas station
            what's the traffic like on the way to work
            oh that's lovely
            you got that right
            no that's wrong, not what i asked
            never mind, forget it
            i don't mind either way
            whichever, up to you
            please say that again
            could you clarify that
            what do you mean by that
            that's all for now
            stop talking
            well done
            you're the best assistant
            thanks a bunch
            goodnight then
            hi there, what's new
            tell me something funny
            got any good jokes
            give me a random fun fact
            what year were you built
            do you have any brothers or sisters
            do you like dogs
            what do you do when nobody is around
            are you a person or a program
            which company made you
            what should i call you
            what are the things you can do
            who's your boss
            where do you live
            what is life all about
            yes please
            nah
            not really
            i'm not sure
            maybe later
            i feel a bit down today
            i got the job!
            we just moved into a new house
            work was awful
            my cat did the funniest thing this morning
            i'm so tired of this weather
            i can't sleep
            how do i make friends at my new school
            my girlfriend left me, what should i do
            what's the weather in boston
            should i take a coat
            what's the date
            what's in the news
            how is the traffic on the way to work
            any good films on tonight
            where is the closest pharmacy
            recommend a nice place for sushi
            what's your opinion on pineapple pizza
            you sound different today
            tell me about yourself
            do you ever get bored
            let's talk about football
            guess what happened
            that makes sense""",
    }.items()
}
